// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Store

/// A socket's seat in a group: the hub has it, the feed loop counts it, and the ledger follows it. All three change here, together.
extension SocketLoop {
    /// The feed let the socket in and counted its seat already; what `started` begins with has been sent.
    func seat(_ outlet: Outlet, of number: UInt32, in started: StartedWatch) {
        guard !outlet.isClosed else {
            desk.left(started.group, on: index)
            return
        }
        hub.join(started.group, outlet, head: started.cursor, base: started.cursor, needsVariant: started.needsVariant)
        ledger.joined(number, in: started.environment.path, started.group, sent: started.cursor.revision)
    }

    func leave(_ group: GroupID, _ outlet: Outlet) {
        hub.leave(group, outlet)
        desk.left(group, on: index)
    }

    /// The socket is gone.
    func leaveAll(_ outlet: Outlet) {
        let left = outlet.seats.map(\.group.id)
        hub.leaveAll(outlet)
        for group in left { desk.left(group, on: index) }
    }

    /// Who may see secrets leaves a row in the audit. There was room for it a moment ago, and what a moment's watchers need on top of the
    /// limit is little.
    func recordWatch(of environment: EnvironmentPath, _ id: String, by token: TokenRecord, requestID: String) {
        _ = desk.audit.append(
            AuditNote(
                actor: token.actor,
                action: "watch.subscribe",
                place: environment.description,
                environmentID: UUID(uuidString: id),
                target: environment.environment,
                requestID: requestID
            ),
            isPromised: true
        )
    }
}
