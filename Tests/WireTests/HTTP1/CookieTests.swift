// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Testing
import Wire

@Suite struct CookieTests {
    private func removed(_ name: String, from value: String) -> String? {
        let bytes = [UInt8]("Cookie: \(value)\r\n".utf8)
        switch Cookies.removing(name, in: bytes.span, 8..<bytes.count - 2) {
        case .absent: return "<absent>"
        case .wholeField: return nil
        case .keep(let ranges): return ranges.map { bytes.span.string($0) }.joined()
        }
    }

    @Test(
        arguments: [
            ("K=x", nil),
            ("K=x;", nil),
            ("K=", nil),
            (" K=x ", nil),
            ("K=x; K=y", nil),
            ("K=x; a=1", "a=1"),
            ("a=1; K=x", "a=1"),
            ("a=1; K=x; b=2", "a=1; b=2"),
            ("a=1;K=x;b=2", "a=1;b=2"),
            ("a=1;  K=x ;  b=2", "a=1;  b=2"),
            ("K=x; a=1; K=y; b=2; K=z", "a=1; b=2"),
            ("K=x; K=y; a=1", "a=1"),
            ("a=\"q;K=x\"; b=2", "a=\"q; b=2"),
            ("a==1 ; ; c ;K=x", "a==1 ; ; c "),
            ("a=K=x; b=2", "<absent>"),
            ("K; a=1", "<absent>"),
            ("k=x; KK=y; aK=z", "<absent>"),
            ("", "<absent>"),
            (";;", "<absent>"),
            ("\u{E9}=\u{E9}; K=x; \u{1F600}", "\u{E9}=\u{E9}; \u{1F600}"),
        ] as [(String, String?)]
    )
    func removesByteExactly(value: String, left: String?) {
        #expect(removed("K", from: value) == left)
    }

    @Test(
        arguments: [
            ("K=x", "x"), ("a=1; K=x y ; K=z", "x y"), ("K=", ""), ("K==a=", "=a="), ("K", nil), ("k=x", nil), ("a=K=x", nil), ("", nil),
            ("a=1;K=\"q\"", "\"q\""), (" K = x", "x"),
        ] as [(String, String?)]
    )
    func findsTheFirst(value: String, found: String?) {
        let bytes = [UInt8](value.utf8)
        let range = Cookies.first("K", in: bytes.span, 0..<bytes.count)
        #expect(range.map { bytes.text($0) } == found)
    }

    @Test func searchesAllLinesOfAHead() throws {
        let bytes = [UInt8]("GET / HTTP/1.1\r\nHost: K=0\r\nCookie: a=1\r\nX: K=2\r\ncookie: K=3\r\n\r\n".utf8)
        // `=` is a sub-delim, so even that Host is valid and must not be taken for a cookie.
        var parser = RequestHeadParser()
        _ = try parser.parse(bytes)
        let found = Cookies.first("K", of: parser.head.fields, in: bytes.span)
        #expect(found.map { bytes.text($0) } == "3")
        #expect(Cookies.first("b", of: parser.head.fields, in: bytes) == nil)
    }

    /// Removing what was put in leaves what was there, wherever it was put.
    @Test func insertionAndRemovalAreInverse() {
        let cookies = ["a=1", "b=\"x y\"", "session=K=1", "c=", "KK=3"]
        for place in 0...cookies.count {
            var with = cookies
            with.insert("K=secret", at: place)
            #expect(removed("K", from: with.joined(separator: "; ")) == cookies.joined(separator: "; "))
        }
    }
}

@Suite struct QueryParametersTests {
    private func parse(_ query: String) -> [String] {
        let bytes = [UInt8](query.utf8)
        return QueryParameters(0..<bytes.count, in: bytes.span).all.map { "\($0.name)→\($0.value)" }
    }

    @Test(
        arguments: [
            ("", []), ("a=1", ["a→1"]), ("a=1&b=2&a=3", ["a→1", "b→2", "a→3"]), ("a", ["a→"]), ("a=", ["a→"]), ("=1", ["→1"]),
            ("&&a=1&", ["a→1"]), ("a=b=c", ["a→b=c"]), ("a+b=c+d", ["a b→c d"]), ("%61=%20%2B", ["a→ +"]), ("a=%C3%A9", ["a→é"]),
            ("a=%", ["a→%"]), ("a=%4", ["a→%4"]), ("a=%zz%41", ["a→%zzA"]), ("a=%FF", ["a→\u{FFFD}"]), ("a=1%262", ["a→1&2"]),
        ]
    )
    func decodes(query: String, expected: [String]) {
        #expect(parse(query) == expected)
    }

    @Test func repeatedKeysAndFirstValues() {
        let bytes = [UInt8]("/p?environment=w%2Fp%2Fe&x=1&environment=w/p/f".utf8)
        let query = 3..<bytes.count
        let parameters = QueryParameters(query, in: bytes.span)
        #expect(parameters.first("environment") == "w/p/e" && parameters.values("environment") == ["w/p/e", "w/p/f"])
        #expect(parameters.first("nope") == nil && parameters.values("nope").isEmpty)
        #expect(QueryParameters.first("environment", of: query, in: bytes) == "w/p/e")
        #expect(QueryParameters.first("x", of: query, in: bytes) == "1")
        #expect(QueryParameters.first("y", of: query, in: bytes) == nil)
        #expect(QueryParameters.first("x", of: nil, in: bytes) == nil && QueryParameters(nil, in: bytes).all.isEmpty)
    }

    @Test func aPlusInAPathIsAPlus() {
        let bytes = [UInt8]("a+b%2Fc".utf8)
        #expect(QueryParameters.percentDecoded(0..<bytes.count, in: bytes, plusIsBlank: false) == "a+b/c")
        #expect(QueryParameters.percentDecoded(0..<bytes.count, in: bytes, plusIsBlank: true) == "a b/c")
    }
}
