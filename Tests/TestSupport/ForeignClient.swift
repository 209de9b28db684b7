// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Programs that others wrote, as clients of what we wrote: `openssl s_client`, `curl`.
package enum ForeignClient {
    package struct Outcome: Sendable {
        /// Both of its outputs.
        package let text: String
        /// 0 where it was content.
        package let code: Int32
    }

    /// Runs it to its end, at most for a minute; `input` is its standard input, a few lines.
    package static func run(_ arguments: [String], input: String = "") async throws -> Outcome {
        let ends = try SpawnedCommand.pipe()
        let bytes = Array(input.utf8)
        _ = write(ends.writing, bytes, bytes.count)
        close(ends.writing)
        defer { close(ends.reading) }
        let command = try SpawnedCommand(arguments, input: ends.reading)
        let text: String
        do {
            text = try await withDeadline(.seconds(60), arguments.joined(separator: " ")) {
                await withTaskCancellationHandler {
                    await command.output()
                } onCancel: {
                    kill(command.process, SIGKILL)
                }
            }
        } catch {
            _ = await command.end()
            throw error
        }
        let status = await command.end()
        return Outcome(text: text, code: status & 0x7f == 0 ? status >> 8 & 0xff : -1)
    }
}
