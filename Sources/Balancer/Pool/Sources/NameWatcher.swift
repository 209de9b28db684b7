// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Logging
import Reactor

/// Looks host names up again and again. Confined to its loop, which never waits: the system's resolver runs elsewhere.
final class NameWatcher {
    static let interval = Duration.seconds(5)

    private(set) var resolved = ResolvedNames()
    private let loop: Loop
    private let logger: Logger
    private let changed: () -> Void
    private var hosts: Set<String> = []
    /// A resolver may take longer than the interval.
    private var underWay: Set<String> = []
    private var failing: Set<String> = []
    private var timer: LoopTimer?

    init(on loop: Loop, logger: Logger, changed: @escaping () -> Void) {
        self.loop = loop
        self.logger = logger
        self.changed = changed
        timer = loop.every(Self.interval) { [weak self] in self?.lookUp() }
    }

    func watch(_ hosts: Set<String>) {
        let isNew = !hosts.isSubset(of: self.hosts)
        self.hosts = hosts
        failing.formIntersection(hosts)
        resolved.forget(allBut: hosts)
        if isNew { lookUp() }
    }

    func stop() {
        timer?.cancel()
        timer = nil
        hosts = []
    }

    private func lookUp() {
        for host in hosts where underWay.insert(host).inserted {
            Resolver.resolve(host: host, port: 0, on: loop) { [weak self] result in self?.finished(host, result) }
        }
    }

    private func finished(_ host: String, _ result: Result<[SocketAddress], ReactorError>) {
        underWay.remove(host)
        guard hosts.contains(host) else { return }
        switch result {
        case .success(let addresses):
            failing.remove(host)
            guard resolved.resolved(host, to: addresses) else { return }
            changed()
        case .failure(let error):
            // What it stood for last stays, and the checks decide.
            if failing.insert(host).inserted {
                logger.log(.warning, "a server's name can't be looked up", [.server: host, .error: error.description])
            }
        }
    }
}
