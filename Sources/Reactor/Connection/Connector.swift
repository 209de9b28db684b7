// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CUV
import Glibc

/// Opens one outgoing connection; confined to its loop. Ends with exactly one call of `done`, or none after `cancel`.
package final class Connector {
    private let loop: Loop
    private let endpoint: Endpoint
    private var remaining: [SocketAddress] = []
    private var lastError: ReactorError?
    private var attempt: Attempt?
    private var deadline: LoopTimer?
    private var done: ((Result<Connection, ReactorError>) -> Void)?

    private struct Attempt: ~Copyable {
        let descriptor: Descriptor
        let poll: PollHandle
        let address: SocketAddress
    }

    /// Resolves the endpoint and tries its addresses in turn, all within `timeout`. The new connection is not started: `done` gives it a
    /// handler or closes it.
    @discardableResult
    package static func connect(
        to endpoint: Endpoint,
        on loop: Loop,
        timeout: Duration,
        _ done: @escaping (Result<Connection, ReactorError>) -> Void
    ) -> Connector {
        let connector = Connector(endpoint, loop: loop, done: done)
        connector.deadline = loop.after(timeout) {
            connector.finish(.failure(ReactorError(.connectTimedOut, "connect to \(endpoint): no answer within \(timeout)")))
        }
        connector.begin()
        return connector
    }

    private init(_ endpoint: Endpoint, loop: Loop, done: @escaping (Result<Connection, ReactorError>) -> Void) {
        self.endpoint = endpoint
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
                let poll = try PollHandle(descriptor: descriptor.number, on: loop) { _ in self.connectEnded() }
                poll.watch(.writable)
                attempt = Attempt(descriptor: descriptor, poll: poll, address: address)
                return
            } catch {
                lastError = error
            }
        }
        finish(.failure(lastError ?? ReactorError(.connectRefused, "connect to \(endpoint): no address left to try")))
    }

    private func connectEnded() {
        switch attempt.take() {
        case .none:
            return
        case .some(let attempt):
            let address = attempt.address
            attempt.poll.close()
            let descriptor = attempt.descriptor
            let number = descriptor.pendingError
            guard number == 0 else {
                lastError = .system("connect to \(address)", errno: number)
                tryNext()
                return
            }
            connected(descriptor, address)
        }
    }

    private func connected(_ descriptor: consuming Descriptor, _ address: SocketAddress) {
        do throws(ReactorError) {
            finish(.success(try Connection(descriptor, remote: address, on: loop)))
        } catch {
            finish(.failure(error))
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
