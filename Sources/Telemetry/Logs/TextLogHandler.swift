// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Logging

/// For people at a terminal: `time level logger: message key=value`. Whether to colour is the caller's decision.
package struct TextLogHandler: LogHandler {
    package var logLevel: Logger.Level
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?
    private let label: String
    private let color: Bool
    private let output: LogOutput
    private let now: @Sendable () -> LogTime

    package init(
        label: String,
        color: Bool,
        output: LogOutput = .standardError,
        level: Logger.Level = .info,
        metadataProvider: Logger.MetadataProvider? = nil,
        now: @escaping @Sendable () -> LogTime = { LogTime.now() }
    ) {
        self.label = label
        self.color = color
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
        var line = styled(now().description, dim) + " " + styled(Self.name(of: event.level), Self.style(of: event.level))
        line += " " + Self.printable(label) + ": " + Self.printable(event.message.description)
        for (key, value) in LogFields.flattened(event, metadata, metadataProvider) {
            line += " " + styled(Self.printable(key) + "=", dim) + Self.quotedIfNeeded(value)
        }
        line += "\n"
        output.write(Array(line.utf8))
    }

    private let dim = "2"

    private func styled(_ text: String, _ style: String?) -> String {
        guard color, let style else { return text }
        return "\u{1B}[\(style)m\(text)\u{1B}[0m"
    }

    /// Padded, so that messages line up.
    private static func name(of level: Logger.Level) -> String {
        let name = level.rawValue
        return name + String(repeating: " ", count: max(0, 8 - name.count))
    }

    private static func style(of level: Logger.Level) -> String? {
        switch level {
        case .trace, .debug: "2"
        case .info: "32"
        case .notice: "36"
        case .warning: "33"
        case .error: "31"
        case .critical: "1;31"
        }
    }

    /// Control characters are written out: a name from the network must not move the cursor or start a new line.
    private static func printable(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isControl) else { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": result += #"\n"#
            case "\r": result += #"\r"#
            case "\t": result += #"\t"#
            case _ where isControl(scalar): result += "\\u{" + String(scalar.value, radix: 16) + "}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    private static func quotedIfNeeded(_ value: String) -> String {
        let needsQuotes =
            value.isEmpty || value.unicodeScalars.contains { $0 == " " || $0 == "\"" || $0 == "=" || isControl($0) }
        guard needsQuotes else { return value }
        var result = "\""
        for character in printable(value) {
            if character == "\"" { result += "\\" }
            result.append(character)
        }
        return result + "\""
    }

    // C0, DEL and C1: some terminals take the single character U+009B for an escape sequence.
    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value)
    }
}
