// Keyvane
// SPDX-License-Identifier: Apache-2.0

import API
import Testing

@Suite struct FormatsDotenvTests {
    @Test(arguments: [
        ("A=b", "b"), ("A=b\n", "b"), ("A=b\r\n", "b"), ("A=b\r", "b"), ("\u{FEFF}A=b", "b"), ("\n\n  A=b", "b"), ("\tA=b", "b"),
        ("export A=b", "b"), ("export\tA=b", "b"), ("  export   A = b", "b"), ("A = b", "b"), ("A =b", "b"), ("A= b", "b"),
        ("A=", ""), ("A= ", ""), ("A=''", ""), ("A=\"\"", ""), ("A=``", ""), ("A= # comment", ""), ("A=''# comment", ""),
        ("A=b  ", "b"), ("A=b\t\r\n", "b"), ("A=two words ", "two words"), ("A=b # comment", "b"), ("A=b\t# comment", "b"),
        ("A=b#c", "b#c"), ("A=#b", "#b"), ("A=http://x/#y?a=b&c=d", "http://x/#y?a=b&c=d"), ("A=b=c==", "b=c=="),
        ("A=it's", "it's"), ("A=say \"hi\"", "say \"hi\""), ("A=b'c'", "b'c'"), ("A=C:\\new", "C:\\new"), ("A=\\n", "\\n"),
        ("A='b'", "b"), ("A=' b '", " b "), ("A='b' # comment", "b"), ("A='b'#comment", "b"), ("A='b'  \r\n", "b"), ("A = 'b'", "b"),
        ("A='#b'", "#b"), ("A='b # c'", "b # c"), ("A='say \"hi\"'", "say \"hi\""), ("A='\\n\\'", "\\n\\"), ("A='b\nc'", "b\nc"),
        ("A='b\r\nc\rd'", "b\nc\nd"), ("A=\"b\"", "b"), ("A=\"it's\"", "it's"), ("A=\"say \\\"hi\\\"\"", "say \"hi\""),
        ("A=\"b\\nc\\rd\\te\"", "b\nc\rd\te"), ("A=\"b\\\\nc\"", "b\\nc"), ("A=\"\\\\\"", "\\"), ("A=\"\\\\\\\"\"", "\\\""),
        ("A=\"\\$B\"", "$B"),
        ("A=\"\\d+\\.\\u0041\\'\"", "\\d+\\.\\u0041\\'"), ("A=\"b\nc\n\"", "b\nc\n"), ("A=\"b\r\nc\"", "b\nc"),
        ("A=\"b # c\" # d", "b # c"),
        ("A=\"b\\\nc\"", "b\\\nc"), ("A=`it's \"b\"`", "it's \"b\""), ("A=`b\\n`", "b\\n"), ("A=`b\nc` # d", "b\nc"),
        ("A=${B}", "${B}"), ("A=\"${B}-$C\"", "${B}-$C"), ("A='${B}'", "${B}"), ("A=$(id)`id`", "$(id)`id`"), ("A=😀 é ", "😀 é"),
        ("A=\u{A0}b\u{A0}", "\u{A0}b\u{A0}"), ("A=\u{2028}", "\u{2028}"), ("# B=c\nA=b\n#", "b"), ("  # B='c\nA=b", "b"),
    ])
    func reads(_ text: String, _ value: String) {
        let outcome = FormatSamples.read(text, .dotenv)
        #expect(outcome.faults == [])
        #expect(outcome.pairs == [.init(name: "A", value: value)])
    }

    @Test func readsADocumentOfSeveral() {
        let text = """
            # The shop
            PORT=8080 # http

            export DB_URL='postgres://shop:p#ss@db/shop?sslmode=require'
            KEY="-----BEGIN-----
            A=b
            -----END-----
            "
            feature.new-basket=on
            export=1
            export = 2nd
            _=x
            """
        let outcome = FormatSamples.read(text.replacing("export = 2nd\n", with: ""), .dotenv)
        #expect(outcome.faults == [])
        #expect(outcome.pairs.map(\.name) == ["PORT", "DB_URL", "KEY", "feature.new-basket", "export", "_"])
        #expect(
            outcome.values == [
                "8080", "postgres://shop:p#ss@db/shop?sslmode=require", "-----BEGIN-----\nA=b\n-----END-----\n", "on", "1", "x",
            ]
        )
        #expect(outcome.places == ["line 2", "line 4", "line 5", "line 9", "line 10", "line 11"])
        #expect(FormatSamples.read(text, .dotenv).faults == ["line 11: sets export, which line 10 sets already; keep one of the two"])
        #expect(FormatSamples.read("", .dotenv).pairs == [])
        #expect(FormatSamples.read("\u{FEFF}\r\n# nothing", .dotenv).faults == [])
    }

    @Test(arguments: [
        ("A", "is no assignment"), ("export A", "is no assignment"), ("A: b", "is no assignment"), ("set -a", "is no assignment"),
        ("=b", "no valid name"), ("export =b\nx", "is no assignment"), ("1A=b", "no valid name"), ("A B=c", "no valid name"),
        ("Ä=b", "no valid name"),
        ("'A'=b", "no valid name"), ("-A=b", "no valid name"), ("A\u{A0}=b", "no valid name"),
        ("\(String(repeating: "A", count: 256))=b", "no valid name"),
        ("A='b", "nothing closes"), ("A=\"b\\\"", "nothing closes"), ("A=`b", "nothing closes"), ("A=\"", "nothing closes"),
        ("A='b\nc", "nothing closes"),
        ("A='b'c", "text after the closing quote"), ("A=\"b\" c", "text after the closing quote"),
        ("A='it's'", "text after the closing quote"),
        ("A='b\nc' d", "closes the one of line 1"), ("A=\(String(repeating: "b", count: 65537))", "65537 bytes; 65536 are allowed"),
        ("A=b\nA=c", "sets A, which line 1 sets already"), ("A=b\u{0}", "NUL"),
    ])
    func refuses(_ text: String, _ detail: String) {
        let outcome = FormatSamples.read(text, .dotenv)
        #expect(outcome.faults.contains { $0.contains(detail) }, "\(outcome.faults)")
        #expect(outcome.pairs == [])
    }

    @Test func tellsAllFaultsAtOnceInTheirOrderWithoutAValue() {
        let text = """
            GOOD=1
            secretline
            GOOD=secret2
            B="x" secret3
            1C=secret4
            D='
            secret5' secret6
            GOOD=secret7
            E=fine
            F="secret8
            secret9
            secret10==
            G=1
            H
            """
        let faults = FormatSamples.read(text, .dotenv).faults
        #expect(FormatSamples.read(text, .dotenv).faultPlaces == [2, 3, 4, 5, 7, 8, 10, 14].map { "line \($0)" })
        #expect(faults.allSatisfy { !$0.contains("secret") }, "\(faults)")
        #expect(faults[1].contains("which line 1 sets already"))
        #expect(faults[5].contains("which line 1 sets already"))
    }

    @Test func tellsAHundredFaultsAtMost() throws {
        let lines = (0..<5000).map { "A\($0 % 10)=\($0)\nno assignment" }.joined(separator: "\n")
        let outcome = FormatSamples.read(lines, .dotenv)
        #expect(outcome.faults.count == 100)
        #expect(
            outcome.faultPlaces[..<11] == [
                "line 2", "line 4", "line 6", "line 8", "line 10", "line 12", "line 14", "line 16", "line 18", "line 20", "line 21",
            ]
        )
    }

    @Test func longNamesAreCutInFaults() {
        let name = String(repeating: "N", count: 255)
        let faults = FormatSamples.read("\(name)=1\n\(name)=2", .dotenv).faults
        #expect(faults == ["line 2: sets \(name.prefix(64))…, which line 1 sets already; keep one of the two"])
    }

    @Test func namesTheLinesThatAreNoText() {
        let bytes = Array("A=1\nB='\r\nx".utf8) + [0xFF] + Array("'\rC=".utf8) + [0xC3] + Array("\nD=".utf8) + [0]
        let outcome = FormatSamples.read(bytes, .dotenv)
        #expect(outcome.faultPlaces == ["line 3", "line 4", "line 5"])
        #expect(outcome.faults[0].contains("not UTF-8") && outcome.faults[2].contains("NUL"))
        #expect(
            FormatSamples.read([0xFF, 0xFE, 0x41, 0, 0x3D, 0], .dotenv).faults == ["line 1: begins a document in UTF-16; save it as UTF-8"]
        )
    }

    @Test func everyPrefixAndEveryMissingByteIsReadOrRefused() {
        let text = Array("\u{FEFF}export A = 'b\r\nc' # d\nB=\"e\\n\\\"${F}\n\" \nG=`h`\rI=j #k\nL=é😀\n#\n".utf8)
        #expect(FormatSamples.read(text, .dotenv).faults == [])
        for count in 0..<text.count {
            _ = FormatSamples.read(Array(text[..<count]), .dotenv)
            _ = FormatSamples.read(Array(text[count...]), .dotenv)
            _ = FormatSamples.read(Array(text[..<count] + text[(count + 1)...]), .dotenv)
        }
    }

    @Test func hostileDocumentsCostNoMoreThanTheirLength() {
        for line in ["A=\"\n", "A='\"`\n", "A=\"\\\n", "A=b\n", "=\n", "A=`\"\n'\n", "export \n"] {
            let text = String(repeating: line, count: 1_000_000 / line.utf8.count)
            #expect(FormatSamples.read(text, .dotenv).pairs == [])
        }
        let many = (0...100_000).map { "N\($0)=" }.joined(separator: "\n")
        #expect(FormatSamples.read(many, .dotenv).faults == ["the document: has more than 100000 entries; an environment holds 10000"])
    }
}
