// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// The list of commands, as HAProxy writes its own.
enum CommandHelp {
    private static let commands: [(usage: String, text: String)] = [
        ("set server <bk>/<srv> [opts]", "change a server's state or weight"),
        ("show info", "report information about the running process"),
        ("show servers state [<backend>]", "dump volatile server information (all or for a single backend)"),
        ("show stat [no-maint|up]*", "report counters for each proxy and server"),
    ]

    private static let always: [(usage: String, text: String)] = [
        ("help [<command>]", "list matching or all commands"), ("prompt", "toggle interactive mode with prompt"), ("quit", "disconnect"),
    ]

    static func requested(_ words: [String]) -> String {
        "The following commands are valid at this level:\n" + list(commands.filter { begins($0.usage, with: words) })
    }

    /// Those with the same beginning; where there is none, all.
    static func unknown(_ words: [String]) -> String {
        for length in stride(from: words.count, to: 0, by: -1) {
            let alike = commands.filter { begins($0.usage, with: Array(words[..<length])) }
            if !alike.isEmpty { return "Unknown command, but maybe one of the following ones is a better match:\n" + list(alike) }
        }
        return "Unknown command. Please enter one of the following commands only:\n" + list(commands)
    }

    private static func begins(_ usage: String, with words: [String]) -> Bool {
        let parts = usage.split(separator: " ")
        guard words.count <= parts.count else { return false }
        return zip(words, parts).allSatisfy { $0 == $1 }
    }

    private static func list(_ chosen: [(usage: String, text: String)]) -> String {
        (chosen + always).map { command in
            "  \(command.usage)\(String(repeating: " ", count: max(0, 40 - command.usage.utf8.count))): \(command.text)\n"
        }.joined()
    }
}
