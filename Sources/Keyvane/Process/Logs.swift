// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Logging
import Telemetry

/// Logs of a process, set up once.
enum Logs {
    static func bootstrap(asJSON: Bool, level: Logger.Level) {
        let color = isatty(STDERR_FILENO) == 1 && (ProcessInfo.processInfo.environment["NO_COLOR"] ?? "").isEmpty
        LoggingSystem.bootstrap { label in
            if asJSON { return JSONLogHandler(label: label, level: level) }
            return TextLogHandler(label: label, color: color, level: level)
        }
    }
}
