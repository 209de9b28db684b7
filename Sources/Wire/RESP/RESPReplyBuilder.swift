// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Puts the pieces that hiredis' reader finds together, depth first, as they come. Owned by a `RESPReader`, called from its
/// reader's callbacks only. Memory is taken for elements that came, never for those that a header announced.
final class RESPReplyBuilder {
    private struct OpenArray {
        var missing: Int
        var values: [RESPValue] = []
    }

    private let limits: RESPLimits
    private var open: [OpenArray] = []
    private var elements = 0
    private var finished: RESPValue?
    private(set) var isOverLimit = false

    init(limits: RESPLimits) {
        self.limits = limits
    }

    /// False refuses the element, and with it the connection.
    func arrayBegan(count: Int) -> Bool {
        guard count <= limits.elements - elements, open.count < limits.depth else {
            isOverLimit = true
            return false
        }
        elements += count
        if count > 0 {
            open.append(OpenArray(missing: count))
        } else {
            valueEnded(.array([]))
        }
        return true
    }

    func valueEnded(_ value: RESPValue) {
        var value = value
        while let last = open.indices.last {
            open[last].values.append(value)
            open[last].missing -= 1
            guard open[last].missing == 0 else { return }
            value = .array(open.removeLast().values)
        }
        finished = value
    }

    /// The complete reply; the next one starts from nothing.
    func take() -> RESPValue? {
        defer { reset() }
        return finished
    }

    private func reset() {
        finished = nil
        elements = 0
        open = []
    }
}
