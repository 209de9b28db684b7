// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// What a parser says about a message: no bytes of its own, only ranges into the bytes that were parsed. Offsets count from the
/// first byte given. Filled by `RequestHeadParser`, a value that callers may keep as long as they keep the bytes.
/// Every lookup that takes bytes must be given the same ones. What can be decided once (framing, persistence, known names)
/// is decided while parsing; nothing here looks at the bytes again unless asked by name.
package struct RequestHead: Sendable {
    package internal(set) var method = HTTPMethod.get
    package internal(set) var methodRange = 0..<0
    /// Origin form (`/path?query`), or `*` of OPTIONS.
    package internal(set) var target = 0..<0
    package internal(set) var path = 0..<0
    /// Without the question mark; nil where the target has none.
    package internal(set) var query: Range<Int>?
    package internal(set) var version = HTTPVersion.http11
    package internal(set) var fields = HTTPFields()
    package internal(set) var framing = BodyFraming.none
    /// May another request follow on this connection (RFC 9112 section 9.3)?
    package internal(set) var isPersistent = true
    /// `Connection` has the token `upgrade`.
    package internal(set) var wantsUpgrade = false
    /// `Expect: 100-continue`; any other expectation is the caller's 417 (`fields.contains(.expect)`).
    package internal(set) var expectsContinue = false
    /// Bytes up to and with the empty line.
    package internal(set) var length = 0

    package init() {}
}
