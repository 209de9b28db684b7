// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Notifier
import Store

extension Change {
    /// An authenticated message of one change; nil for one that announces without values, or whose time cannot be read.
    init?(_ message: ChangeMessage, environmentID: UUID) {
        let operation: Operation
        switch message.operation {
        case .set: operation = .set
        case .delete: operation = .delete
        case .bulk: return nil
        }
        guard let at = Timestamp(parsing: message.at) else { return nil }
        self.init(
            environmentID: environmentID,
            revision: message.revision,
            first: message.first,
            last: message.last,
            mark: message.mark,
            name: message.name,
            kind: message.isSecret ? .secret : .variable,
            op: operation,
            value: message.value.map { message.isSecret ? .sealed($0) : .plain($0) },
            version: message.version,
            at: at,
            by: message.by
        )
    }
}

extension Timestamp {
    /// Reads what `description` writes, `2026-11-21T02:45:57.123Z`, and nothing else.
    init?(parsing text: String) {
        let bytes = Array(text.utf8)
        let shape = Array("0000-00-00T00:00:00.000Z".utf8)
        guard bytes.count == shape.count else { return nil }
        for (byte, expected) in zip(bytes, shape) {
            let isDigit = (0x30...0x39).contains(byte)
            guard expected == 0x30 ? isDigit : byte == expected else { return nil }
        }
        func number(_ range: Range<Int>) -> Int64 {
            bytes[range].reduce(0) { $0 * 10 + Int64($1 - 0x30) }
        }
        let (year, month, day) = (number(0..<4), number(5..<7), number(8..<10))
        let (hour, minute, second) = (number(11..<13), number(14..<16), number(17..<19))
        guard (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60, second < 61 else { return nil }
        // Days of the civil calendar since 1970, in eras of 400 years that begin in March.
        let shifted = month <= 2 ? year - 1 : year
        let era = shifted / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        let days = era * 146_097 + dayOfEra - 719_468
        self.init(milliseconds: ((days * 24 + hour) * 60 + minute) * 60_000 + second * 1000 + number(20..<23))
    }
}
