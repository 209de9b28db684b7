// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
package import KeyvaneClient
import PathKit
import Stencil

/// A template and the file that is made of it.
///
/// Stencil's language: `{{ NAME }}`, `{{ NAME|default:"x" }}`, `{{ NAME|required }}`, `{{ NAME|json }}`, `{{ NAME|base64 }}`, conditions, and loops over
/// `entries` with `name`, `value` and `isSecret`.
package struct RenderedFile: Sendable, Equatable {
    package let template: String
    package let output: String?

    /// - Parameter output: nil only renders.
    package init(template: String, output: String?) {
        self.template = template
        self.output = output
    }

    /// Written only where it differs, as a whole and with mode 0600; whether it did.
    @discardableResult
    package func write(_ configuration: EnvironmentConfiguration) throws -> Bool {
        let text = Data(try render(configuration).utf8)
        guard let output, FileManager.default.contents(atPath: output) != text else { return false }
        try PrivateFile.write(text, to: output)
        return true
    }

    /// - Throws: where the template can't be read, is none, or requires a name that isn't there.
    package func render(_ configuration: EnvironmentConfiguration) throws(RunError) -> String {
        let text: String
        do {
            text = try String(contentsOfFile: template, encoding: .utf8)
        } catch {
            throw RunError("\(template) can't be read: \(error.localizedDescription)")
        }
        var context: [String: Any] = configuration.values
        context["entries"] = configuration.entries.map { ["name": $0.name, "value": $0.value, "isSecret": $0.isSecret] as [String: Any] }
        do {
            return try Self.environment(folder: template).renderTemplate(string: text, context: context)
        } catch let error as TemplateSyntaxError {
            throw RunError("\(template)\(error.token.map { ":\($0.sourceMap.location.lineNumber)" } ?? ""): \(error.reason)")
        } catch {
            throw RunError("\(template): \(error)")
        }
    }

    private static func environment(folder template: String) -> Environment {
        let filters = Extension()
        filters.registerFilter("required") { value, arguments in
            if let text = value as? String, !text.isEmpty { return text }
            throw TemplateSyntaxError((arguments.first as? String) ?? "a required name isn't set: set it, or give it a default")
        }
        filters.registerFilter("json") { value in
            guard let text = value as? String else { return "null" }
            return String(decoding: try JSONEncoder().encode(text), as: UTF8.self).replacingOccurrences(of: "\\/", with: "/")
        }
        filters.registerFilter("base64") { value in
            Data((value as? String ?? "").utf8).base64EncodedString()
        }
        // Templates include others from their own folder.
        return Environment(loader: FileSystemLoader(paths: [Path(template).parent()]), extensions: [filters])
    }
}
