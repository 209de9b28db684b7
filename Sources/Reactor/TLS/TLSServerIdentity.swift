// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// What a listener shows new clients, on all its loops: one context at a time, replaced while connections made with an earlier one live on.
/// Guarded by its mutex.
package final class TLSServerIdentity: Sendable {
    private let tickets = TLSTicketKeys()
    private let context: Mutex<TLSServerContext>

    /// - Throws: `tls_failed` with what can't be used.
    package init(_ options: TLSServerOptions) throws(ReactorError) {
        context = Mutex(try TLSServerContext(options, tickets: tickets))
    }

    var current: TLSServerContext { context.withLock { $0 } }

    /// The names that choose a certificate, for logs.
    package var serverNames: [String] { current.serverNames }

    /// Loads what `adopt` then shows; nothing has changed yet.
    package func prepare(_ options: TLSServerOptions) throws(ReactorError) -> TLSServerContext {
        try TLSServerContext(options, tickets: tickets)
    }

    /// For connections from now on; sessions of earlier ones can still be taken up.
    package func adopt(_ new: TLSServerContext) {
        context.withLock { $0 = new }
    }

    /// Both; where it throws nothing has changed.
    package func replace(_ options: TLSServerOptions) throws(ReactorError) {
        adopt(try prepare(options))
    }
}
