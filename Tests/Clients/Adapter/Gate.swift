// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Holds the one consumer of a watch while it is closed.
actor Gate {
    private var isOpen = true
    private var waiting: CheckedContinuation<Void, Never>?

    func close() {
        isOpen = false
    }

    func open() {
        isOpen = true
        waiting.take()?.resume()
    }

    func pass() async {
        if isOpen { return }
        await withCheckedContinuation { waiting = $0 }
    }
}
