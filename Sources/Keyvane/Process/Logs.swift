// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Logging
import Telemetry

/// Logs of a process, set up once.
enum Logs {
    /// - Returns: the level of all of them, for whoever changes it.
    @discardableResult
    static func bootstrap(asJSON: Bool, level: Logger.Level) -> LogLevel {
        let common = LogLevel(level)
        let color = isatty(STDERR_FILENO) == 1 && (ProcessInfo.processInfo.environment["NO_COLOR"] ?? "").isEmpty
        LoggingSystem.bootstrap { label in
            if asJSON { return LeveledLogHandler(JSONLogHandler(label: label), level: common) }
            return LeveledLogHandler(TextLogHandler(label: label, color: color), level: common)
        }
        return common
    }
}
