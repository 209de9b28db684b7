// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Testing
import Wire

@Suite struct ServerSentEventTests {
    @Test func allOfAnEvent() {
        #expect(
            ServerSentEvent.text(event: "changes", data: #"{"a":1}"#, id: "57-9f3a01c2", retry: 1_500)
                == "id: 57-9f3a01c2\nevent: changes\nretry: 1500\ndata: {\"a\":1}\n\n"
        )
        #expect(ServerSentEvent.text(data: "x") == "data: x\n\n")
        #expect(ServerSentEvent.text(data: "") == "data: \n\n")
    }

    @Test(
        arguments: [
            ("a\nb", "data: a\ndata: b\n\n"), ("a\r\nb", "data: a\ndata: b\n\n"), ("a\rb", "data: a\ndata: b\n\n"),
            ("\n", "data: \ndata: \n\n"), ("a\n", "data: a\ndata: \n\n"), ("\r\r\n", "data: \ndata: \ndata: \n\n"),
            ("a\n\rb", "data: a\ndata: \ndata: b\n\n"), (":\u{0}id: 1", "data: :\u{0}id: 1\n\n"),
        ]
    )
    func dataIsSplitAtEveryKindOfLineEnd(data: String, written: String) {
        #expect(ServerSentEvent.text(data: data) == written)
    }

    @Test(arguments: ["1\n2", "1\r", "\n"])
    func whatALineCannotHoldIsLeftOut(text: String) {
        #expect(ServerSentEvent.text(event: text, data: "x", id: text) == "data: x\n\n")
        #expect(ServerSentEvent.text(data: "x", id: "1\u{0}") == "data: x\n\n")
        // An empty id is a meaning of its own: it resets the reader's.
        #expect(ServerSentEvent.text(data: "x", id: "") == "id: \ndata: x\n\n")
    }

    @Test func comments() {
        var out: [UInt8] = []
        ServerSentEvent.appendComment(to: &out)
        ServerSentEvent.appendComment(" alive", to: &out)
        #expect(String(decoding: out, as: UTF8.self) == ":\n\n: alive\n\n")
    }

    /// The algorithm of the standard, as short as it can be, reads back what was written.
    @Test(arguments: 0..<50)
    func aReaderGetsTheSameText(seed: UInt64) {
        var random = SeededRandom(seed)
        let alphabet = Array("ab:\n\r \u{FEFF}€")
        let data = String((0..<Int.random(in: 0...30, using: &random)).map { _ in alphabet.randomElement(using: &random) ?? "a" })
        let written = ServerSentEvent.text(event: "e", data: data, id: "7")
        var lines = written.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        #expect(lines.popLast() == "" && lines.popLast() == "")
        #expect(!written.utf8.contains(0x0D))
        let read = lines.compactMap { $0.hasPrefix("data: ") ? String($0.unicodeScalars.dropFirst(6)) : nil }.joined(separator: "\n")
        let unified = String(decoding: Array(data.utf8).unifiedLineEnds, as: UTF8.self)
        #expect(Array(read.utf8) == Array(unified.utf8))
    }
}

extension [UInt8] {
    /// CR LF and CR as LF.
    fileprivate var unifiedLineEnds: [UInt8] {
        var out: [UInt8] = []
        for (index, byte) in enumerated() {
            if byte == 0x0A, index > 0, self[index - 1] == 0x0D { continue }
            out.append(byte == 0x0D ? 0x0A : byte)
        }
        return out
    }
}
