// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import KeyvaneClient

/// The Swift client as a process of the shared scenario: commands come in on standard input, what the consumer of a watch sees goes
/// out on standard output, one JSON object a line. `adapter.mjs` and `adapter.py` are the same for the other clients.
@main
struct ClientAdapter {
    private struct Command: Decodable {
        let action: String
        let url: String?
        let token: String?
        let environment: String?
        let revision: Int?
        let status: String?
        let message: String?

        enum CodingKeys: String, CodingKey {
            case action = "do"
            case url, token, environment, revision, status, message
        }
    }

    private struct Report: Encodable {
        let event: String
        var revision: Int?
        var cursor: String?
        var values: [String: String]?
        var code: String?
        var retryAfterMs: Int?
    }

    static func main() async throws {
        let gate = Gate()
        var watch: WatchSequence?
        for await line in standardInput() {
            let command = try JSONDecoder().decode(Command.self, from: Data(line.utf8))
            switch command.action {
            case "watch":
                let settings = ClientSettings(url: command.url ?? "", token: command.token ?? "")
                let sequence = try ConfigurationClient(settings).events(command.environment ?? "", acknowledges: true)
                watch = sequence
                // Ends with the sequence, or with the process, which its standard input ends.
                Task { await report(sequence, gate) }
            case "acknowledge":
                let status = command.status == "failed" ? AcknowledgementStatus.failed(command.message ?? "") : .applied
                watch?.acknowledge(command.revision ?? 0, as: status)
            case "pause": await gate.close()
            case "continue": await gate.open()
            default: preconditionFailure("unknown command \(command.action)")
            }
        }
    }

    private static func report(_ watch: WatchSequence, _ gate: Gate) async {
        var configuration: EnvironmentConfiguration?
        do throws(ClientError) {
            for try await event in watch {
                switch event {
                case .connected: continue
                case .disconnected(let interruption):
                    let delay = Int(interruption.retryAfter / .milliseconds(1))
                    write(Report(event: "interrupted", code: interruption.error.code, retryAfterMs: delay))
                    continue
                case .snapshot(let snapshot): configuration = EnvironmentConfiguration(snapshot)
                case .changes(let changes):
                    configuration?.apply(changes)
                    if changes.changes.isEmpty { continue }
                }
                guard let configuration else { continue }
                let cursor = configuration.cursor.description
                write(Report(event: "configuration", revision: configuration.revision, cursor: cursor, values: configuration.values))
                await gate.pass()
            }
        } catch {
            write(Report(event: "ended", code: error.code))
        }
    }

    private static func write(_ report: Report) {
        do {
            try FileHandle.standardOutput.write(contentsOf: JSONEncoder().encode(report) + Data("\n".utf8))
        } catch {
            preconditionFailure("nobody reads what the client does: \(error)")
        }
    }

    private static func standardInput() -> AsyncStream<String> {
        AsyncStream { lines in
            Thread.detachNewThread {
                while let line = readLine() { lines.yield(line) }
                lines.finish()
            }
        }
    }
}
