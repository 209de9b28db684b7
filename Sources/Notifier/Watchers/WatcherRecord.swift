// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Wire

/// One gateway's watchers of one environment, as they stand in Redis: short, whatever the number of watchers.
package struct WatcherRecord: Codable, Hashable, Sendable {
    package struct Step: Codable, Hashable, Sendable {
        package let revision: Int64
        package let watchers: Int
    }

    package struct Failing: Codable, Hashable, Sendable {
        package let applied: Int64
        package let failed: Int64
        package let watchers: Int
    }

    /// Different revisions that are told apart, the newest ones. The rest counts as far as its last one is, so that nobody takes it for
    /// further than that: "all have applied it" stays exact.
    package static let stepLimit = 64

    package let gateway: String
    package let silent: Int
    /// Without a failure, newest first.
    package let applied: [Step]
    package let failing: [Failing]
    package let failures: [WatcherFailure]

    package init(gateway: String, _ tally: WatcherTally) {
        self.gateway = gateway
        silent = tally.silent
        failures = tally.failures
        let steps = tally.applied.sorted { $0.key > $1.key }.map { Step(revision: $0.key, watchers: $0.value) }
        applied = Self.cut(steps) { Step(revision: min($0.revision, $1.revision), watchers: $0.watchers + $1.watchers) }
        let failing = tally.failing.sorted { ($0.key.failed, $0.key.applied) > ($1.key.failed, $1.key.applied) }.map {
            Failing(applied: $0.key.applied, failed: $0.key.failed, watchers: $0.value)
        }
        self.failing = Self.cut(failing) {
            Failing(applied: min($0.applied, $1.applied), failed: min($0.failed, $1.failed), watchers: $0.watchers + $1.watchers)
        }
    }

    /// The first ones, and the others together as one.
    private static func cut<Element>(_ elements: [Element], _ join: (Element, Element) -> Element) -> [Element] {
        guard elements.count > stepLimit else { return elements }
        let rest = elements[stepLimit...].reduce(elements[stepLimit - 1], join)
        return elements.prefix(stepLimit - 1) + [rest]
    }

    /// nil for anything that isn't a record.
    package init?(decoding text: [UInt8]) {
        guard let record = try? JSONDecoder().decode(WatcherRecord.self, from: Data(text)) else { return nil }
        self = record
    }

    /// Written by hand: a busy gateway writes it fifty times a second for each environment.
    package var encoded: [UInt8] {
        var out: [UInt8] = []
        out.append(#"{"gateway":"#)
        JSONText.append(quoted: gateway, to: &out)
        out.append(#","silent":"#)
        out.append(decimal: silent)
        out.append(#","applied":["#)
        for (index, step) in applied.enumerated() {
            out.append(index == 0 ? #"{"revision":"# : #",{"revision":"# as StaticString)
            out.append(decimal: step.revision)
            out.append(#","watchers":"#)
            out.append(decimal: step.watchers)
            out.append(0x7D)
        }
        out.append(#"],"failing":["#)
        for (index, step) in failing.enumerated() {
            out.append(index == 0 ? #"{"applied":"# : #",{"applied":"# as StaticString)
            out.append(decimal: step.applied)
            out.append(#","failed":"#)
            out.append(decimal: step.failed)
            out.append(#","watchers":"#)
            out.append(decimal: step.watchers)
            out.append(0x7D)
        }
        out.append(#"],"failures":["#)
        for (index, failure) in failures.enumerated() {
            out.append(index == 0 ? #"{"connection":"# : #",{"connection":"# as StaticString)
            JSONText.append(quoted: failure.connection, to: &out)
            out.append(#","revision":"#)
            out.append(decimal: failure.revision)
            out.append(#","message":"#)
            JSONText.append(quoted: failure.message, to: &out)
            out.append(0x7D)
        }
        out.append("]}" as StaticString)
        return out
    }
}
