// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation

/// One line on a terminal that is written over; nothing where standard error is none.
struct ProgressLine {
    private let isShown = isatty(STDERR_FILENO) == 1

    func show(_ text: String) {
        write("\r\u{1B}[K\(text)")
    }

    func clear() {
        write("\r\u{1B}[K")
    }

    private func write(_ text: String) {
        guard isShown else { return }
        try? FileHandle.standardError.write(contentsOf: Data(text.utf8))
    }
}
