// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// A write that was answered with success and changed something.
struct AnsweredWrite: Sendable {
    let writer: Int
    let environment: Int
    /// The answer's: of the last change.
    let revision: Int
    /// How many changes it made, by its answer.
    let count: Int
    /// What it must have set, by name, as marks.
    var sets: [String: String] = [:]
    /// Names that it must have left without a value, where the answer says that it changed them.
    var deletes: Set<String> = []
    /// It put the environment back to this revision.
    var rollback: Int?
}

/// Holds the change table to what the writers were answered: every answer is in it, once, and nothing else is.
enum WriteLedger {
    /// Fills the plaintext of secrets into the histories, from the writes that sealed them.
    static func fillSecrets(_ histories: inout [EnvironmentHistory], from writes: [AnsweredWrite]) {
        for write in writes.sorted(by: { $0.revision < $1.revision }) {
            guard histories.indices.contains(write.environment), write.revision <= histories[write.environment].head else { continue }
            let history = histories[write.environment]
            let old = write.rollback.map { history.state(at: history.boundary(of: $0)) } ?? [:]
            let rows = histories[write.environment].changes(after: write.revision - write.count, through: write.revision)
            for row in rows where row.isSecret && row.isSet {
                histories[write.environment].fill(write.sets[row.name] ?? old[row.name]?.value, at: row.revision)
            }
        }
    }

    static func check(_ writes: [AnsweredWrite], _ histories: [EnvironmentHistory]) -> [Finding] {
        var findings: [Finding] = []
        var claims = histories.map { Array(repeating: 0, count: $0.head) }
        for write in writes {
            let history = histories[write.environment]
            guard write.count > 0, write.revision <= history.head, write.revision - write.count >= 0 else {
                findings.append(finding(.lostWrite, write, "the head is \(history.head)"))
                continue
            }
            let rows = history.changes(after: write.revision - write.count, through: write.revision)
            for row in rows { claims[write.environment][row.revision - 1] += 1 }
            if let fault = compare(write, rows, history) { findings.append(fault) }
        }
        for (environment, counts) in claims.enumerated() {
            for (index, count) in counts.enumerated() where count != 1 {
                let detail = "\(count) answers claim \(histories[environment].changes[index])"
                findings.append(Finding(kind: .doubledWrite, who: -1, environment: environment, revision: index + 1, detail: detail))
            }
        }
        return findings
    }

    private static func finding(_ kind: Finding.Kind, _ write: AnsweredWrite, _ detail: String) -> Finding {
        Finding(kind: kind, who: write.writer, environment: write.environment, revision: write.revision, detail: detail)
    }

    private static func compare(_ write: AnsweredWrite, _ rows: ArraySlice<CommittedChange>, _ history: EnvironmentHistory) -> Finding? {
        guard let first = rows.first, first.first == first.revision, first.last == write.revision else {
            return finding(.wrongWrite, write, "its \(write.count) changes are not one transaction")
        }
        if let revision = write.rollback {
            let (old, new) = (history.state(at: history.boundary(of: revision)), history.state(at: write.revision))
            let names = Set(old.keys).union(new.keys).filter { old[$0]?.value != new[$0]?.value || old[$0]?.isSecret != new[$0]?.isSecret }
            guard let name = names.min() else { return nil }
            let (was, now) = (old[name].map { "\($0)" } ?? "absent", new[name].map { "\($0)" } ?? "absent")
            return finding(.wrongWrite, write, "the rollback to \(revision) left \(names.count) names, such as \(name): \(now), was \(was)")
        }
        var expected = write.sets
        for row in rows {
            if row.isSet {
                guard let value = expected.removeValue(forKey: row.name), value == row.value else {
                    return finding(.wrongWrite, write, "\(row)")
                }
            } else if !write.deletes.contains(row.name) {
                return finding(.wrongWrite, write, "\(row)")
            }
        }
        guard let missing = expected.keys.first else { return nil }
        return finding(.wrongWrite, write, "\(missing) is not in its transaction")
    }
}
