// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import Wire

/// One check of one server: connect, ask, judge the head, hang up. Confined to the control loop; `done` is called once, or never after
/// `cancel`.
final class HealthCheck: ServerCheck, ConnectionHandler {
    static let agent = "keyvane-health-check"

    private let configuration: HealthConfiguration
    private let endpoint: Endpoint
    private var connector: Connector?
    private var connection: Connection?
    private var deadline: LoopTimer?
    private var answer: [UInt8] = []
    private var parser = ResponseHeadParser()
    private var done: ((CheckOutcome) -> Void)?

    init(
        _ endpoint: Endpoint,
        _ configuration: HealthConfiguration,
        over transport: ServerTransport,
        on loop: Loop,
        done: @escaping (CheckOutcome) -> Void
    ) {
        self.configuration = configuration
        self.endpoint = endpoint
        self.done = done
        deadline = loop.after(configuration.timeout) { [weak self] in self?.finish(.failed("no answer in time")) }
        connector = transport.connect(to: endpoint, on: loop, timeout: configuration.timeout) { [weak self] result in
            self?.connected(result)
        }
    }

    func cancel() {
        done = nil
        release()
    }

    private func connected(_ result: Result<Connection, ReactorError>) {
        connector = nil
        switch result {
        case .success(let connection):
            self.connection = connection
            connection.start(self)
            var request: [UInt8] = []
            HeadWriter.requestLine(.get, configuration.path, into: &request)
            HeadWriter.field(.host, Self.hostField(of: endpoint), into: &request)
            HeadWriter.field(.userAgent, Self.agent, into: &request)
            HeadWriter.field(.connection, "close", into: &request)
            HeadWriter.end(&request)
            connection.write(request)
        case .failure(let error):
            finish(.failed(error.message))
        }
    }

    static func hostField(of endpoint: Endpoint) -> String {
        switch endpoint.kind {
        case .tcp: endpoint.description
        case .unix: "localhost"
        }
    }

    func connection(_ connection: Connection, received bytes: Span<UInt8>) {
        answer.append(bytes)
        do throws(HTTPFault) {
            while case .complete(let length) = try parser.parse(answer.span) {
                let head = parser.head
                guard (100..<200).contains(head.status), head.status != 101 else {
                    judge(head)
                    return
                }
                answer.removeFirst(length)
            }
        } catch {
            finish(.failed(error.message))
        }
    }

    private func judge(_ head: ResponseHead) {
        if let state = head.fields.first(.keyvaneState), answer.span.equalsIgnoringCase(state, "draining") {
            finish(.draining)
        } else {
            finish(head.status == configuration.expect ? .passed : .failed("status \(head.status)"))
        }
    }

    func connectionReachedEnd(_ connection: Connection) {
        finish(.failed("closed without an answer"))
    }

    func connectionDrained(_ connection: Connection) {}

    func connectionClosed(_ connection: Connection, _ reason: CloseReason) {
        finish(.failed("reset"))
    }

    private func finish(_ outcome: CheckOutcome) {
        let done = done
        self.done = nil
        release()
        done?(outcome)
    }

    private func release() {
        deadline?.cancel()
        deadline = nil
        connector?.cancel()
        connector = nil
        connection?.close()
        connection = nil
    }
}
