// Keyvane
// SPDX-License-Identifier: Apache-2.0

// What flows through: swift-log's events, as one line each, to a descriptor (stderr of a process, normally).
// Who owns it: the composition root chooses a handler and gives it to `LoggingSystem.bootstrap`; loggers copy it as a value.
// What must hold: a line leaves in one write and is never torn by another thread's; whatever is in a message or in metadata,
// it can't end the line, forge a field or steer a terminal. Nothing is redacted by guessing: callers log no secret.

package import Logging

/// One JSON object a line: `time`, `level`, `logger`, `message`, then the metadata as string fields under their keys, sorted.
package struct JSONLogHandler: LogHandler {
    package var logLevel: Logger.Level
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?
    private let label: String
    private let output: LogOutput
    private let now: @Sendable () -> LogTime

    package init(
        label: String,
        output: LogOutput = .standardError,
        level: Logger.Level = .info,
        metadataProvider: Logger.MetadataProvider? = nil,
        now: @escaping @Sendable () -> LogTime = { LogTime.now() }
    ) {
        self.label = label
        self.output = output
        self.metadataProvider = metadataProvider
        self.now = now
        logLevel = level
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var line = JSONLine()
        line.field("time", now().description)
        line.field("level", event.level.rawValue)
        line.field("logger", label)
        line.field("message", event.message.description)
        for (key, value) in LogFields.flattened(event, metadata, metadataProvider) {
            // A duplicate key would leave it to the reader which value is believed.
            line.field(Self.ownKeys.contains(key) ? "metadata." + key : key, value)
        }
        output.write(line.finished())
    }

    private static let ownKeys: Set = ["time", "level", "logger", "message"]
}

/// The bytes of one JSON object with string fields (RFC 8259, section 7), and the newline.
private struct JSONLine {
    private var bytes: [UInt8] = [UInt8(ascii: "{")]

    mutating func field(_ key: String, _ value: String) {
        if bytes.count > 1 { bytes.append(UInt8(ascii: ",")) }
        string(key)
        bytes.append(UInt8(ascii: ":"))
        string(value)
    }

    consuming func finished() -> [UInt8] {
        bytes.append(UInt8(ascii: "}"))
        bytes.append(UInt8(ascii: "\n"))
        return bytes
    }

    private mutating func string(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                bytes.append(UInt8(ascii: "\\"))
                bytes.append(byte)
            case UInt8(ascii: "\n"):
                bytes.append(contentsOf: #"\n"#.utf8)
            case UInt8(ascii: "\r"):
                bytes.append(contentsOf: #"\r"#.utf8)
            case UInt8(ascii: "\t"):
                bytes.append(contentsOf: #"\t"#.utf8)
            case 0..<0x20, 0x7F:
                bytes.append(contentsOf: #"\u00"#.utf8)
                if byte < 0x10 { bytes.append(UInt8(ascii: "0")) }
                bytes.append(contentsOf: String(byte, radix: 16).utf8)
            default:
                bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
