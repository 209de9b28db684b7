// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation

extension ConfigurationExport {
    /// Keys of a Secret are checked like names of its objects, which allow two characters less than ours.
    private static let maximumKeyBytes = 253

    /// A Secret, since there is no telling from outside which values may be read by everyone.
    static func writeSecret(_ entries: [ExportedEntry], _ environment: String, _ revision: Int64, into document: inout [UInt8]) {
        document += "apiVersion: v1\nkind: Secret\nmetadata:\n  name: \"\(objectName(environment))\"\n".utf8
        document += "  annotations:\n    keyvane/environment: ".utf8
        QuotedText.yaml(environment, into: &document)
        document += "\n    keyvane/revision: \"\(revision)\"\ntype: Opaque\ndata:".utf8
        document += (entries.contains { isKey($0.name) } ? "\n" : " {}\n").utf8
        for entry in entries where isHeld(entry.name, by: "a Secret", isKey(entry.name), &document) {
            document += "  ".utf8
            appendKey(entry.name, into: &document)
            document += "\"\(Data(entry.value.utf8).base64EncodedString())\"\n".utf8
        }
    }

    private static func isKey(_ name: String) -> Bool { name.utf8.count <= maximumKeyBytes }

    /// A DNS subdomain name (RFC 1123): what of the path isn't a lower-case letter or digit becomes a hyphen, but not at the ends.
    private static func objectName(_ environment: String) -> String {
        let hyphen = UInt8(ascii: "-")
        var name = environment.lowercased().utf8.map { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): byte
            case _: hyphen
            }
        }.prefix(253).drop { $0 == hyphen }
        while name.last == hyphen { name.removeLast() }
        return name.isEmpty ? "keyvane" : String(decoding: name, as: UTF8.self)
    }
}
