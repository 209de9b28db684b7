// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import NIOCore
import Store

/// Writes JSON in the order it is told, so that an answer is the same bytes every time and reads as the documentation shows it.
/// Owned by the caller for one answer.
struct JSONWriter {
    private(set) var buffer: ByteBuffer
    /// Whether something stands before what comes next at this level; a key's own value comes without a comma.
    private var needsComma = false

    /// - Parameter capacity: a guess at the size; the buffer grows by itself.
    init(capacity: Int = 512) {
        buffer = ByteBufferAllocator().buffer(capacity: capacity)
    }

    mutating func object(_ write: (inout JSONWriter) -> Void) {
        open("{")
        write(&self)
        close("}")
    }

    mutating func array<Elements: Sequence>(_ elements: Elements, _ write: (inout JSONWriter, Elements.Element) -> Void) {
        open("[")
        for element in elements { write(&self, element) }
        close("]")
    }

    // MARK: Members of the object that is open

    mutating func member(_ name: StaticString, _ text: String?) {
        key(name)
        value(text)
    }

    mutating func member(_ name: StaticString, _ number: some BinaryInteger) {
        key(name)
        value(number)
    }

    mutating func member(_ name: StaticString, _ flag: Bool) {
        key(name)
        raw(flag ? "true" : "false")
    }

    mutating func member(_ name: StaticString, _ identifier: UUID) {
        member(name, identifier.lowercased)
    }

    mutating func member(_ name: StaticString, _ time: Timestamp?) {
        member(name, time?.description)
    }

    mutating func member(_ name: StaticString, _ write: (inout JSONWriter) -> Void) {
        key(name)
        object(write)
    }

    mutating func member<Elements: Sequence>(
        _ name: StaticString,
        array elements: Elements,
        _ write: (inout JSONWriter, Elements.Element) -> Void
    ) {
        key(name)
        array(elements, write)
    }

    /// Milliseconds with one decimal, as health checks report them.
    mutating func member(_ name: StaticString, tenths milliseconds: Double) {
        key(name)
        let tenths = Int((max(0, milliseconds) * 10).rounded())
        raw("\(tenths / 10).\(tenths % 10)")
    }

    // MARK: Elements of the array that is open

    mutating func value(_ text: String?) {
        guard let text else {
            raw("null")
            return
        }
        separate()
        quote(text)
    }

    mutating func value(_ number: some BinaryInteger) {
        raw(String(number))
    }

    // MARK: Bytes

    private mutating func open(_ bracket: StaticString) {
        separate()
        buffer.writeStaticString(bracket)
        needsComma = false
    }

    private mutating func close(_ bracket: StaticString) {
        buffer.writeStaticString(bracket)
        needsComma = true
    }

    private mutating func key(_ name: StaticString) {
        separate()
        buffer.writeInteger(UInt8(ascii: "\""))
        buffer.writeStaticString(name)
        buffer.writeStaticString("\":")
        needsComma = false
    }

    private mutating func raw(_ text: String) {
        separate()
        buffer.writeString(text)
    }

    /// Before every value: values are what commas stand between, at the top as well as in objects and arrays.
    private mutating func separate() {
        if needsComma { buffer.writeInteger(UInt8(ascii: ",")) }
        needsComma = true
    }

    /// Copies in runs: nearly all text has nothing to escape.
    private mutating func quote(_ text: String) {
        buffer.writeInteger(UInt8(ascii: "\""))
        var text = text
        text.withUTF8 { bytes in
            var clean = 0
            for index in 0..<bytes.count {
                let byte = bytes[index]
                if byte >= 0x20, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") { continue }
                buffer.writeBytes(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[clean..<index]))
                escape(byte)
                clean = index + 1
            }
            buffer.writeBytes(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[clean...]))
        }
        buffer.writeInteger(UInt8(ascii: "\""))
    }

    /// What RFC 8259, section 7, wants escaped, and nothing else: other characters go out as they are.
    private mutating func escape(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""): buffer.writeStaticString("\\\"")
        case UInt8(ascii: "\\"): buffer.writeStaticString("\\\\")
        case 0x0A: buffer.writeStaticString("\\n")
        case 0x0D: buffer.writeStaticString("\\r")
        case 0x09: buffer.writeStaticString("\\t")
        default:
            buffer.writeStaticString(byte < 0x10 ? "\\u000" : "\\u00")
            buffer.writeString(String(byte, radix: 16))
        }
    }
}
