// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Foundation
import Notifier
import Reactor
import Store

/// What a setting's text must be. Nothing of a secret is in what is said about one.
package enum SettingKind: Hashable, Sendable {
    case text
    case address
    /// One that is read, now and whenever it is wanted.
    case file
    case postgres
    case redis
    case masterKeys
    case stickyKeys
    /// With at least so many characters.
    case token(Int)
    case number(ClosedRange<Int>, of: String)
    /// Of so many seconds.
    case duration(ClosedRange<Int>)
    case choice([String])
    case origins
    case addressRanges

    static func number(of unit: String) -> SettingKind { .number(1...Int.max, of: unit) }

    /// As the documentation calls it.
    package var name: String {
        switch self {
        case .text, .token: "text"
        case .address: "address"
        case .file: "file"
        case .postgres, .redis: "URL"
        case .masterKeys, .stickyKeys, .origins, .addressRanges: "list"
        case .number(let range, _): range.upperBound == Int.max ? "number" : "number to \(range.upperBound)"
        case .duration: "duration"
        case .choice(let words): words.joined(separator: ", ")
        }
    }

    package var unit: String {
        switch self {
        case .number(_, let unit): unit
        case .duration: "s, or as written"
        case .text, .address, .file, .postgres, .redis, .masterKeys, .stickyKeys, .token, .choice, .origins, .addressRanges: ""
        }
    }

    /// In a YAML file it may be a list too.
    var isList: Bool {
        switch self {
        case .masterKeys, .stickyKeys, .origins, .addressRanges: true
        case .text, .address, .file, .postgres, .redis, .token, .number, .duration, .choice: false
        }
    }

    /// What is wrong with it, and what is allowed; nil where it can be used.
    func problem(with text: String) -> String? {
        switch self {
        case .text: nil
        case .address: Self.message { () throws(ReactorError) in _ = try Endpoint(parsing: text) }
        case .file: access(text, R_OK) == 0 ? nil : "\(text) can't be read: \(String(cString: strerror(errno)))"
        case .postgres: Self.message { () throws(StoreError) in try StoreConfiguration(url: text).validate() }
        case .redis: Self.message { () throws(NotifierError) in _ = try RedisEndpoint(parsing: text) }
        case .masterKeys: Self.message { () throws(StoreError) in _ = try KeyRing(parsing: text) }
        case .stickyKeys: Self.message { () throws(BalancerError) in _ = try StickyKeyRing(parsing: text) }
        case .token(let least): text.count >= least ? nil : "has \(text.count) characters; it needs at least \(least)"
        case .number(let range, _): Self.problem(with: text, in: range)
        case .duration(let range): Self.problem(with: text, seconds: range)
        case .choice(let words): words.contains(text) ? nil : "'\(text)' is none of: \(words.joined(separator: ", "))"
        case .origins: Self.problem(withOrigins: text)
        case .addressRanges: Self.problem(withRanges: text)
        }
    }

    private static func problem(with text: String, in range: ClosedRange<Int>) -> String? {
        guard let number = Int(text), number > 0 else { return "'\(text)' is no positive whole number" }
        return number <= range.upperBound ? nil : "must be at most \(range.upperBound)"
    }

    private static func problem(with text: String, seconds range: ClosedRange<Int>) -> String? {
        guard let duration = Duration(reading: text) else { return "'\(text)' is no duration: write 500ms, 6s or 1m" }
        guard duration < .seconds(range.lowerBound) || duration > .seconds(range.upperBound) else { return nil }
        // Of what is kept, only the least is anybody's business.
        guard range.upperBound == Int32.max else { return "must be \(range.lowerBound)s to \(range.upperBound)s" }
        if duration > .seconds(range.upperBound) { return "is longer than 68 years: leave it out" }
        return "must be at least \(range.lowerBound / 3600)h"
    }

    private static func problem(withOrigins text: String) -> String? {
        for origin in origins(in: text) where origin != "*" {
            // A serialized origin has no path, and browsers send it just so (RFC 6454 section 6.2).
            let parts = origin.split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count == 3, parts[0] == "http:" || parts[0] == "https:", parts[1].isEmpty, !parts[2].isEmpty else {
                return "'\(origin)' is no origin: write https://HOST[:PORT] without a path, or *"
            }
        }
        return nil
    }

    /// In lower case; `*` alone is all of them.
    static func origins(in text: String) -> [String] {
        text.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces).lowercased() }
    }

    private static func problem(withRanges text: String) -> String? {
        ranges(in: text).first { AddressRange($0) == nil }
            .map { "'\($0)' is no address range: write 10.0.0.0/8, fd00::/8, an address or unix:" }
    }

    static func ranges(in text: String) -> [String] {
        text.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
    }

    private static func message<Failure: SettingRefusal>(_ body: () throws(Failure) -> Void) -> String? {
        do throws(Failure) {
            try body()
            return nil
        } catch {
            return error.message
        }
    }
}

/// What a target says about a value that it can't use.
private protocol SettingRefusal: Error {
    var message: String { get }
}

extension ReactorError: SettingRefusal {}
extension StoreError: SettingRefusal {}
extension NotifierError: SettingRefusal {}
extension BalancerError: SettingRefusal {}
