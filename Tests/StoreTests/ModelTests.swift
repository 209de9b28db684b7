// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Store
import Testing

@Suite("Model")
struct ModelTests {
    @Test("Cursors are read strictly and written as they were")
    func cursors() {
        let cursor = Cursor(revision: 57, mark: 0x009f_3a01)
        #expect(cursor.description == "57-009f3a01" && Cursor(parsing: "57-009f3a01") == cursor)
        #expect(ResumePoint(parsing: "57") == ResumePoint(revision: 57) && Cursor(parsing: "57") == nil)
        for text in [
            "", "-", "57-", "57-9f3a", "57-9F3A01C2", "-1", "+1", "57-9f3a01c2x", "9223372036854775808", " 57", "57-+9f3a01c", "٥٧",
        ] {
            #expect(ResumePoint(parsing: text) == nil, "\(text)")
        }
        #expect(ResumePoint(parsing: "9223372036854775807-ffffffff") == ResumePoint(revision: .max, mark: .max))
    }

    @Test(
        "Timestamps keep their milliseconds",
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (1_700_000_000_123, "2023-11-14T22:13:20.123Z"), (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_868_800_001, "2000-03-01T00:00:00.001Z"), (4_107_542_399_009, "2100-02-28T23:59:59.009Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ]
    )
    func timestamps(milliseconds: Int64, text: String) {
        let moment = Timestamp(milliseconds: milliseconds)
        #expect(moment.description == text && Timestamp(moment.date) == moment)
    }

    @Test("Pages are bounded")
    func pages() {
        for limit in [0, -1, 201] { #expect(throws: StoreError.self) { try PageRequest(limit: limit) } }
        #expect(throws: StoreError.self) { try PageRequest(after: "a\0") }
    }
}
