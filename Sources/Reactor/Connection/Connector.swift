// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Opens one outgoing connection; confined to its loop. Ends with exactly one call of `done`, or none after `cancel`.
package final class Connector {
    private let loop: Loop
    private let endpoint: Endpoint
    private let tls: TLSContext?
    private let serverName: String
    private var remaining: [SocketAddress] = []
    private var lastError: ReactorError?
    private var attempt: Attempt?
    private var deadline: LoopTimer?
    private var done: ((Result<Connection, ReactorError>) -> Void)?

    private struct Attempt: ~Copyable {
        let descriptor: Descriptor
        let poll: PollHandle
        let address: SocketAddress
        /// Once the socket is connected and its handshake has begun.
        var session: TLSSession?
    }

    /// Resolves the endpoint and tries its addresses in turn, handshakes included, all within `timeout`. The new connection is not started:
    /// `done` gives it a handler or closes it.
    ///
    /// With `tls` the peer must show a certificate for `serverName`, or else for the endpoint's host; either may be a numeric address.
    @discardableResult
    package static func connect(
        to endpoint: Endpoint,
        tls: TLSContext? = nil,
        serverName: String? = nil,
        on loop: Loop,
        timeout: Duration,
        _ done: @escaping (Result<Connection, ReactorError>) -> Void
    ) -> Connector {
        let connector = Connector(endpoint, tls: tls, serverName: serverName ?? endpoint.host, loop: loop, done: done)
        connector.deadline = loop.after(timeout) {
            connector.finish(.failure(ReactorError(.connectTimedOut, "\(connector.step) \(endpoint): no answer within \(timeout)")))
        }
        connector.begin()
        return connector
    }

    private init(
        _ endpoint: Endpoint,
        tls: TLSContext?,
        serverName: String,
        loop: Loop,
        done: @escaping (Result<Connection, ReactorError>) -> Void
    ) {
        self.endpoint = endpoint
        self.tls = tls
        self.serverName = serverName
        self.loop = loop
        self.done = done
    }

    /// Gives up; `done` isn't called any more.
    package func cancel() {
        done = nil
        release()
    }

    private func begin() {
        switch endpoint.kind {
        case .unix(let path):
            remaining = [.unix(path)]
            loop.defer { self.tryNext() }
        case .tcp(let host, let port):
            Resolver.resolve(host: host, port: port, on: loop) { result in
                switch result {
                case .success(let addresses):
                    self.remaining = addresses
                    self.tryNext()
                case .failure(let error):
                    self.finish(.failure(error))
                }
            }
        }
    }

    private func tryNext() {
        guard done != nil else { return }
        while !remaining.isEmpty {
            let address = remaining.removeFirst()
            do throws(ReactorError) {
                let descriptor = try Descriptor.socket(family: address.family)
                let status = try address.withSockaddr { Glibc.connect(descriptor.number, $0, $1) == 0 ? 0 : errno }
                // A Unix socket with a full backlog answers EAGAIN: as good as refused.
                guard status == 0 || status == EINPROGRESS else {
                    throw ReactorError.system("connect to \(address)", errno: status)
                }
                let poll = try PollHandle(descriptor: descriptor.number, on: loop) { _ in self.ready() }
                poll.watch(.writable)
                attempt = Attempt(descriptor: descriptor, poll: poll, address: address)
                return
            } catch {
                lastError = error
            }
        }
        finish(.failure(lastError ?? ReactorError(.connectRefused, "connect to \(endpoint): no address left to try")))
    }

    private func ready() {
        switch attempt.take() {
        case .none:
            return
        case .some(var attempt):
            do throws(ReactorError) {
                guard try advance(&attempt) else {
                    self.attempt = consume attempt
                    return
                }
            } catch {
                attempt.poll.close()
                lastError = error
                tryNext()
                return
            }
            connected(attempt)
        }
    }

    /// True when nothing is left to wait for.
    private func advance(_ attempt: inout Attempt) throws(ReactorError) -> Bool {
        if attempt.session == nil {
            let number = attempt.descriptor.pendingError
            guard number == 0 else { throw .system("connect to \(attempt.address)", errno: number) }
            guard let tls else { return true }
            attempt.session = try TLSSession(tls, descriptor: attempt.descriptor.number, host: serverName, peer: endpoint.description)
        }
        switch attempt.session?.shakeHands() {
        case .finished, nil:
            return true
        case .waits(let events):
            attempt.poll.watch(events)
            return false
        case .failed(let error):
            throw error
        }
    }

    private func connected(_ attempt: consuming Attempt) {
        // Before the connection polls the same descriptor.
        attempt.poll.close()
        let (address, session) = (attempt.address, attempt.session)
        do throws(ReactorError) {
            finish(.success(try Connection(attempt.descriptor, session, remote: address, on: loop)))
        } catch {
            finish(.failure(error))
        }
    }

    /// For the message of a time-out.
    private var step: String {
        switch attempt {
        case .some(let attempt): attempt.session == nil ? "connect to" : "TLS handshake with"
        case .none: "connect to"
        }
    }

    private func finish(_ result: Result<Connection, ReactorError>) {
        let done = exchange(&done, with: nil)
        release()
        done?(result)
    }

    private func release() {
        deadline?.cancel()
        deadline = nil
        switch attempt.take() {
        case .none: break
        case .some(let attempt): attempt.poll.close()
        }
    }
}
