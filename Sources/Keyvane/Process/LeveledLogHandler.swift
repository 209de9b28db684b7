// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Logging
import Synchronization

/// The level of every logger of the process, which may change while they live. Atomic.
final class LogLevel: Sendable {
    private let position: Atomic<Int>

    init(_ level: Logger.Level) {
        position = Atomic(Self.position(of: level))
    }

    var current: Logger.Level {
        get { Logger.Level.allCases[position.load(ordering: .relaxed)] }
        set { position.store(Self.position(of: newValue), ordering: .relaxed) }
    }

    private static func position(of level: Logger.Level) -> Int {
        Logger.Level.allCases.firstIndex(of: level) ?? 0
    }
}

/// Another handler, with the process's level until somebody gives this logger one of its own.
struct LeveledLogHandler: LogHandler {
    private var handler: any LogHandler
    private let level: LogLevel
    private var own: Logger.Level?

    init(_ handler: any LogHandler, level: LogLevel) {
        self.handler = handler
        self.level = level
    }

    var logLevel: Logger.Level {
        get { own ?? level.current }
        set { own = newValue }
    }

    var metadata: Logger.Metadata {
        get { handler.metadata }
        set { handler.metadata = newValue }
    }

    var metadataProvider: Logger.MetadataProvider? {
        get { handler.metadataProvider }
        set { handler.metadataProvider = newValue }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { handler[metadataKey: key] }
        set { handler[metadataKey: key] = newValue }
    }

    func log(event: LogEvent) {
        handler.log(event: event)
    }
}
