// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Logging

/// Metadata keys of this target's log lines.
package enum NotifierLogKey {
    package static let redis = "redis"
    /// Of several that the address names.
    package static let server = "server"
    package static let connection = "connection"
    package static let code = "code"
    package static let reason = "reason"
    package static let underlying = "underlying"
    package static let announcements = "announcements"
}

extension NotifierError {
    package var logMetadata: Logger.Metadata {
        var metadata: Logger.Metadata = [NotifierLogKey.code: "\(code.rawValue)", NotifierLogKey.reason: "\(message)"]
        if let underlying { metadata[NotifierLogKey.underlying] = "\(underlying)" }
        return metadata
    }
}
