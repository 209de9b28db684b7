// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization
import TestSupport

/// Writes until it is stopped, each write until it has an answer: a repeated one carries the same Idempotency-Key, so it takes effect once.
final class CampaignWriter: Sendable {
    /// Where to write.
    struct Target: Sendable {
        /// The balancer's port, then the APIs'.
        let ports: [UInt16]
        let token: String
        let environments: [String]
    }

    private struct Planned: Sendable {
        var method: String
        var suffix: String
        var body: String?
        var sets: [String: String] = [:]
        var deletes: Set<String> = []
        var rollback: Int?
    }

    private struct Book {
        var generator: SeededGenerator
        var writes: [AnsweredWrite] = []
        /// Calls that got no answer, or one that asks for another try.
        var repeats = 0
        var count = 0
        /// The newest revision known, by environment.
        var heads: [Int: Int] = [:]
        var isStopped = false
    }

    private let number: Int
    private let target: Target
    private let prefix: String
    private let book: Mutex<Book>

    init(_ number: Int, _ target: Target, seed: UInt64) {
        self.number = number
        self.target = target
        prefix = "c\(seed)-w\(number)"
        book = Mutex(Book(generator: SeededGenerator(seed, stream: number)))
    }

    var writes: [AnsweredWrite] { book.withLock { $0.writes } }
    var repeats: Int { book.withLock { $0.repeats } }

    func stop() {
        book.withLock { $0.isStopped = true }
    }

    /// Returns after the write that is under way at `stop`.
    func run(pace: ClosedRange<Int>) async throws {
        while case let (environment, pause)? = draw(pace) {
            try await write(plan(environment), environment)
            try await ContinuousClock().sleep(for: pause)
        }
    }

    /// Large values, so that whoever doesn't read falls behind.
    func flood(_ environment: Int, count: Int, bytes: Int) async throws {
        for index in 0..<count {
            let value = unique() + "-" + book.withLock { $0.generator.text(bytes) }
            try await write(Self.put("variables/L_\(index % 8)", "L_\(index % 8)", value), environment)
        }
    }

    private func draw(_ pace: ClosedRange<Int>) -> (Int, Duration)? {
        let count = target.environments.count
        return book.withLock { book in
            guard !book.isStopped else { return nil }
            return (Int.random(in: 0..<count, using: &book.generator), book.generator.duration(pace))
        }
    }

    private func unique() -> String {
        book.withLock { book in
            book.count += 1
            return "w\(number)-\(book.count)"
        }
    }

    private static func put(_ suffix: String, _ name: String, _ value: String) -> Planned {
        Planned(method: "PUT", suffix: suffix, body: "{\"value\":\"\(value)\"}", sets: [name: ValueMark.of(value)])
    }

    // MARK: What is written

    private func plan(_ environment: Int) -> Planned {
        let (choice, name, other) = book.withLock { book in
            (
                Int.random(in: 0..<100, using: &book.generator), Int.random(in: 0..<20, using: &book.generator),
                Int.random(in: 0..<4, using: &book.generator)
            )
        }
        switch choice {
        case 0..<50: return Self.put("variables/K_\(name)", "K_\(name)", unique())
        case 50..<60: return Self.put("secrets/S_\(other)", "S_\(other)", unique())
        case 60..<72: return Planned(method: "DELETE", suffix: "variables/K_\(name)", deletes: ["K_\(name)"])
        case 72..<94: return transaction(names: (name...(name + 1 + other)).map { "K_\($0 % 20)" }, deleting: "K_\((name + 10) % 20)")
        case 94..<96: return transaction(names: (0..<(101 + name)).map { "B_\($0)" }, deleting: nil)
        default:
            guard let head = book.withLock({ $0.heads[environment] }), head > 10 else {
                return Self.put("variables/K_\(name)", "K_\(name)", unique())
            }
            let revision = head - 1 - other
            return Planned(method: "POST", suffix: "rollback", body: "{\"revision\":\(revision)}", rollback: revision)
        }
    }

    private func transaction(names: [String], deleting deleted: String?) -> Planned {
        var plan = Planned(method: "PATCH", suffix: "configuration")
        let items = names.map { name -> String in
            let value = unique()
            plan.sets[name] = value
            return "{\"name\":\"\(name)\",\"value\":\"\(value)\"}"
        }
        var body = "{\"set\":[\(items.joined(separator: ","))]"
        if let deleted {
            plan.deletes = [deleted]
            body += ",\"delete\":[\"\(deleted)\"]"
        }
        plan.body = body + "}"
        return plan
    }

    // MARK: How

    private func write(_ plan: Planned, _ environment: Int) async throws {
        let key = "\(prefix)-\(unique())"
        let path = target.environments[environment].split(separator: "/")
        let resource = "/v1/projects/\(path[0])/\(path[1])/environments/\(path[2])/\(plan.suffix)"
        let answered = try await eventually(within: .seconds(120), every: .milliseconds(50), "an answer to \(plan.method) \(resource)") {
            [self] () -> (revision: Int, count: Int)? in
            let port = book.withLock { book in
                // Half of them through the balancer.
                book.generator.chance(50) ? target.ports[0] : target.ports[Int.random(in: 0..<target.ports.count, using: &book.generator)]
            }
            let call = PlainHTTP(port: port, token: target.token)
            guard let answer = try? await call.call(plan.method, resource, body: plan.body, fields: [("Idempotency-Key", key)]),
                let outcome = try Self.outcome(of: answer, to: plan)
            else {
                book.withLock { $0.repeats += 1 }
                return nil
            }
            return outcome
        }
        book.withLock { book in
            book.heads[environment] = max(book.heads[environment] ?? 0, answered.revision)
            guard answered.count > 0 else { return }
            book.writes.append(
                AnsweredWrite(
                    writer: number,
                    environment: environment,
                    revision: answered.revision,
                    count: answered.count,
                    sets: plan.sets,
                    deletes: plan.deletes,
                    rollback: plan.rollback
                )
            )
        }
    }

    /// Nil where the write is to be sent again.
    private static func outcome(of answer: PlainAnswer, to plan: Planned) throws -> (revision: Int, count: Int)? {
        if [429, 502, 503, 504].contains(answer.status) { return nil }
        if answer.status == 404, plan.method == "DELETE" { return (0, 0) }
        guard (200...204).contains(answer.status), let revision = answer.fields["keyvane-revision"].flatMap({ Int($0) }) else {
            throw DeadlinePassed("\(plan.method) \(plan.suffix): \(answer.status) \(answer.text.prefix(300))")
        }
        guard plan.method == "PATCH" || plan.method == "POST" else { return (revision, 1) }
        struct Body: Decodable {
            struct Change: Decodable { let name: String }
            let revision: Int
            let changes: [Change]
        }
        // An answer that was cut with its connection is none.
        guard let body = try? JSONDecoder().decode(Body.self, from: Data(answer.body)), body.revision == revision else { return nil }
        return (revision, body.changes.count)
    }
}
