// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// Answers that are part of the interface, kept in Tests/Golden/api. A missing file is written, and fails once: look at it, then commit it.
enum Golden {
    private static let fields = ["allow", "content-type", "www-authenticate", "retry-after", "etag", "accept", "cache-control"]

    static func expect(_ answer: PlainAnswer, _ name: String) throws {
        var text = "\(answer.status)\n"
        for field in fields {
            if let value = answer.fields[field] { text += "\(field): \(value)\n" }
        }
        text += "\n\(answer.text)\n"
        text = text.replacing(#/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/#, with: "<time>")
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../Golden/api/\(name).txt")
        guard let expected = try? String(contentsOf: file, encoding: .utf8) else {
            try text.write(to: file, atomically: true, encoding: .utf8)
            Issue.record("wrote Golden/api/\(name).txt: check it")
            return
        }
        #expect(text == expected, "Golden/api/\(name).txt")
    }
}
