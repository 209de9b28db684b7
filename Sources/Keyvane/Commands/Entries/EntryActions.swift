// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// `keyvane rename`.
struct RenameCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rename",
        abstract: "Rename an entry; watchers get both halves at once.",
        discussion: """
              keyvane rename DB_HOST DATABASE_HOST -e demo/shop/production
            """
    )

    @Argument(help: "The name it has.") var name: String
    @Argument(help: "The name it gets.") var newName: String
    @OptionGroup var options: ClientOptions
    @Flag(help: "The answer as JSON.") var json = false

    func run() async throws {
        let entry = try await options.calls().act("rename", on: name, body: ["name": newName])
        try Terminal.entry(entry, "was \(name)", asJSON: json)
    }
}

/// `keyvane disable`.
struct DisableCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "disable",
        abstract: "Hide an entry from applications and keep it.",
        discussion: """
              keyvane disable FEATURE_CART -e demo/shop/production
            """
    )

    @Argument(help: "The entry's name.") var name: String
    @OptionGroup var options: ClientOptions
    @Flag(help: "The answer as JSON.") var json = false

    func run() async throws {
        try Terminal.entry(try await options.calls().act("disable", on: name), "is disabled", asJSON: json)
    }
}

/// `keyvane enable`.
struct EnableCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "enable",
        abstract: "Show a disabled entry to applications again.",
        discussion: """
              keyvane enable FEATURE_CART -e demo/shop/production
            """
    )

    @Argument(help: "The entry's name.") var name: String
    @OptionGroup var options: ClientOptions
    @Flag(help: "The answer as JSON.") var json = false

    func run() async throws {
        try Terminal.entry(try await options.calls().act("enable", on: name), "is enabled", asJSON: json)
    }
}

/// `keyvane seal`.
struct SealCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "seal",
        abstract: "Make a variable a secret.",
        discussion: """
            From now on it is encrypted; its earlier values stay in the history as what they were, so change the value as well.

              keyvane seal API_KEY -e demo/shop/production
            """
    )

    @Argument(help: "The variable's name.") var name: String
    @OptionGroup var options: ClientOptions
    @Flag(help: "The answer as JSON.") var json = false

    func run() async throws {
        try Terminal.entry(try await options.calls().act("seal", on: name), "is a secret", asJSON: json)
    }
}
