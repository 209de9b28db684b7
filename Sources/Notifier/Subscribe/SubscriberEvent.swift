// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// What a gateway hears from Redis.
package enum SubscriberEvent: Hashable, Sendable {
    /// Both channels are confirmed, for the first time or again: whatever was published before may be missing.
    case connected
    /// Nothing is heard until the next `connected`.
    case disconnected
    /// Its code is ours and its fields are consistent.
    case message(ChangeMessage)
    /// Somebody published something about this environment (nil: about nobody knows what): look in the database.
    case untrusted(environmentID: String?)
    /// Without trust it is a reason to look the token or environment up, no more.
    case control(ControlMessage, isTrusted: Bool)
}
