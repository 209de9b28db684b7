// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import Store
import TestSupport
import Testing

@Suite struct UnreadableSecretTests {
    /// Two secrets, one of them moved by hand to the other's row.
    private func withMovedSecret(_ body: (TestAPI, _ log: Events<String>) async throws -> Void) async throws {
        try await withPostgresDatabase { database in
            let log = Events<String>()
            try await withAPI(postgres: database.url, logger: Logger(label: "test") { _ in LogLines(log) }) { api in
                _ = try await api.seed()
                for (name, value) in [("GOOD", "alpha-plaintext"), ("MOVED", "beta-plaintext")] {
                    let answer = try await api.root.call("PUT", "\(TestAPI.path)/secrets/\(name)", body: #"{"value":"\#(value)"}"#)
                    #expect(answer.status == 201)
                }
                try await database.sql(
                    "UPDATE keyvane.entry SET value = (SELECT value FROM keyvane.entry WHERE name = 'GOOD') WHERE name = 'MOVED'"
                )
                try await body(api, log)
            }
        }
    }

    /// Left out, it would look deleted; given as it is, it would be a wrong value. So the whole answer says that something is wrong.
    @Test func isAProblemThatNamesTheRequestAndALogLineThatNamesThePlace() async throws {
        try await withMovedSecret { api, log in
            for path in ["secrets/MOVED", "configuration", "configuration?names=MOVED"] {
                let id = "request-\(path.filter(\.isLetter))"
                let answer = try await api.root.call("GET", "\(TestAPI.path)/\(path)", fields: [("X-Request-Id", id)])
                #expect(answer.status == 500 && answer["code"]?.text == "internal_error")
                #expect(answer.fields["x-request-id"] == id && answer["detail"]?.text?.contains("X-Request-Id") == true)
                for hidden in ["MOVED", "GOOD", "plaintext", "sealed", "alpha"] where path != "secrets/MOVED" || hidden != "MOVED" {
                    #expect(!answer.text.contains(hidden))
                }
                let line = try #require(log.all.last { $0.contains("sealed_value_unreadable") && $0.contains(id) })
                #expect(line.hasPrefix("error ") && line.contains("MOVED version 1") && !line.contains("plaintext"))
            }
        }
    }

    /// Keys were rotated, and this process was not given the new one.
    @Test func underAnotherMasterKeyIsForAnotherServerToRead() async throws {
        try await withPostgresDatabase { database in
            let log = Events<String>()
            try await withAPI(postgres: database.url, logger: Logger(label: "test") { _ in LogLines(log) }) { api in
                _ = try await api.seed()
                try await database.sql("UPDATE keyvane.project SET wrapped_key = replace(wrapped_key, ':one:', ':two:')")
                for kind in ["secrets", "variables"] {
                    let answer = try await api.root.call("PUT", "\(TestAPI.path)/\(kind)/A_\(kind)", body: #"{"value":"alpha"}"#)
                    #expect(answer.status == (kind == "secrets" ? 503 : 201))
                    guard kind == "secrets" else { continue }
                    #expect(answer["code"]?.text == "unavailable" && answer.fields["retry-after"] == "1" && !answer.text.contains("two"))
                }
                let line = try #require(log.all.first { $0.hasPrefix("error project_key_unreadable") })
                #expect(line.contains("'two'") && line.contains("keyvane keys rotate"))
            }
        }
    }

    @Test func takesNothingElseWithIt() async throws {
        try await withMovedSecret { api, _ in
            let good = try await api.root.call("GET", "\(TestAPI.path)/secrets/GOOD")
            #expect(good.status == 200 && good["value"]?.text == "alpha-plaintext")
            let narrow = try await api.root.call("GET", "\(TestAPI.path)/configuration?names=GOOD")
            #expect(narrow.status == 200 && narrow.text.contains("alpha-plaintext"))
            // Who may not see secrets misses none.
            let reader = try await api.client(Grant(workspace: "acme", permissions: [.read]))
            let withheld = try await reader.call("GET", "\(TestAPI.path)/configuration")
            #expect(withheld.status == 200 && withheld.text.contains(#""withheld":2"#))
            // Writing it again mends it.
            let mended = try await api.root.call("PUT", "\(TestAPI.path)/secrets/MOVED", body: #"{"value":"beta-plaintext"}"#)
            #expect(mended.status == 200)
            let whole = try await api.root.call("GET", "\(TestAPI.path)/configuration")
            #expect(whole.status == 200 && whole.text.contains("beta-plaintext"))
        }
    }
}

/// Hands on each line as `level message key=value…`.
private struct LogLines: LogHandler {
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace
    private let lines: Events<String>

    init(_ lines: Events<String>) {
        self.lines = lines
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let values = metadata.merging(event.metadata ?? [:]) { $1 }.map { "\($0.key)=\($0.value)" }.sorted().joined(separator: " ")
        lines.emit("\(event.level) \(event.message) \(values)")
    }
}
