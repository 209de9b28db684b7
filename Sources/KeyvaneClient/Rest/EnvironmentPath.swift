// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// `workspace/project/environment` as the path of a REST resource.
package struct EnvironmentPath: Sendable {
    /// `/v1/projects/{w}/{p}/environments/{e}`.
    package let path: String

    package init(_ environment: String) throws(ClientError) {
        let slugs = environment.split(separator: "/", omittingEmptySubsequences: false)
        guard slugs.count == 3, slugs.allSatisfy({ !$0.isEmpty && $0.utf8.allSatisfy(Self.isSlugByte) }) else {
            throw ClientError(
                code: "invalid_environment",
                message: "An environment is written workspace/project/environment in small letters, digits and hyphens."
            )
        }
        path = "/v1/projects/\(slugs[0])/\(slugs[1])/environments/\(slugs[2])"
    }

    /// The path of an entry; a name with characters that no name has is refused before it could become another path.
    package func entry(_ name: String, in collection: String) throws(ClientError) -> String {
        guard !name.isEmpty, name != ".", name != "..", name.utf8.allSatisfy(Self.isNameByte) else {
            throw ClientError(code: "invalid_name", message: "A name has letters, digits, '_', '.' and '-' only.")
        }
        return "\(path)/\(collection)/\(name)"
    }

    private static func isSlugByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"): true
        default: false
        }
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"), UInt8(ascii: "."): true
        default: isSlugByte(byte)
        }
    }
}
