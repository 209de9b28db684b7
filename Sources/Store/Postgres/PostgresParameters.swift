// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CPQ
import Foundation

/// The parameters of one call in PostgreSQL's text format: built where the call is made, lent to libpq on the loop.
struct PostgresParameters: Sendable {
    /// All values, one after the other, each ended by a NUL.
    private var bytes: [UInt8] = []
    /// Where each value begins; nil is SQL's NULL.
    private var starts: [Int?] = []

    var count: Int { starts.count }
    var byteCount: Int { bytes.count }

    mutating func add(_ text: String?) {
        guard let text else {
            starts.append(nil)
            return
        }
        starts.append(bytes.count)
        addBytes(of: text)
        bytes.append(0)
    }

    mutating func add(_ number: Int64?) { add(number.map(String.init)) }
    mutating func add(_ flag: Bool) { add(flag ? "t" : "f") }
    mutating func add(_ id: UUID) { add(id.lowercased) }
    mutating func add(_ moment: Timestamp?) { add(moment?.milliseconds) }

    /// An array as PostgreSQL writes it: `{"a","b\"c",NULL}`.
    mutating func add(_ elements: some Sequence<String?>) {
        starts.append(bytes.count)
        bytes.append(UInt8(ascii: "{"))
        var isFirst = true
        for element in elements {
            if !isFirst { bytes.append(UInt8(ascii: ",")) }
            isFirst = false
            guard let element else {
                bytes.append(contentsOf: "NULL".utf8)
                continue
            }
            bytes.append(UInt8(ascii: "\""))
            addBytes(of: element, escaped: true)
            bytes.append(UInt8(ascii: "\""))
        }
        bytes.append(UInt8(ascii: "}"))
        bytes.append(0)
    }

    mutating func add(_ numbers: some Sequence<Int64?>) { add(numbers.lazy.map { $0.map(String.init) }) }
    mutating func add(_ ids: some Sequence<UUID>) { add(ids.lazy.map { Optional($0.lowercased) }) }

    private mutating func addBytes(of text: String, escaped: Bool = false) {
        for byte in text.utf8 {
            switch byte {
            case 0:
                // libpq would end the text here, and `A\0B` would find `A`. No name or slug holds U+FFFD, so this finds nothing.
                bytes.append(contentsOf: [0xEF, 0xBF, 0xBD])
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                if escaped { bytes.append(UInt8(ascii: "\\")) }
                bytes.append(byte)
            default:
                bytes.append(byte)
            }
        }
    }

    /// Lends the values as C strings.
    func withPointers<Value>(_ body: (UnsafePointer<UnsafePointer<CChar>?>?) -> Value) -> Value {
        bytes.withUnsafeBytes { raw in
            let base = raw.baseAddress?.assumingMemoryBound(to: CChar.self)
            let pointers: [UnsafePointer<CChar>?] = starts.map { start in start.flatMap { offset in base.map { $0 + offset } } }
            return pointers.withUnsafeBufferPointer { body($0.baseAddress) }
        }
    }
}

/// SQL that each connection prepares once, at its first use.
struct PostgresStatement: Hashable, Sendable {
    /// Unique among all statements; also what logs and errors call it.
    let name: String
    let sql: String

    init(_ name: String, _ sql: String) {
        self.name = name
        self.sql = sql
    }

    func call(_ fill: (inout PostgresParameters) -> Void = { _ in }) -> PostgresCall {
        var parameters = PostgresParameters()
        fill(&parameters)
        return PostgresCall(statement: self, parameters: parameters)
    }
}

/// One statement with its parameters.
struct PostgresCall: Sendable {
    let statement: PostgresStatement
    let parameters: PostgresParameters
    var byteCount: Int { parameters.byteCount + 64 }
}
