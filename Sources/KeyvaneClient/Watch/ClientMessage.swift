// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
package import NIOCore
import NIOFoundationCompat

/// Whether a revision has been put to use.
public enum AcknowledgementStatus: Sendable, Equatable {
    /// The application runs with it.
    case applied
    /// The application can't use it, and why. The text goes to whoever looks at the environment's watchers: no secrets in it.
    case failed(String)
}

/// A message to the gateway.
package enum ClientMessage: Sendable, Equatable {
    package struct Acknowledgement: Sendable, Equatable {
        package let environment: String
        package let revision: Int
        package let status: AcknowledgementStatus

        package init(environment: String, revision: Int, status: AcknowledgementStatus) {
            self.environment = environment
            self.revision = revision
            self.status = status
        }
    }

    case subscribe(id: Int, WatchSubscription)
    case acknowledge(Acknowledgement)

    package func json() throws -> ByteBuffer {
        try JSONEncoder().encodeAsByteBuffer(self, allocator: ByteBufferAllocator())
    }
}

/// What a watch asks for.
package struct WatchSubscription: Sendable, Equatable {
    package let environment: String
    package var since: WatchCursor?
    package let names: [String]
    package let acknowledges: Bool

    package init(environment: String, since: WatchCursor? = nil, names: [String] = [], acknowledges: Bool = false) {
        self.environment = environment
        self.since = since
        self.names = names
        self.acknowledges = acknowledges
    }
}

extension ClientMessage: Encodable {
    private enum CodingKeys: String, CodingKey {
        case type, id, environment, since, names, acks, revision, status, message
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        switch self {
        case .subscribe(let id, let subscription):
            try container.encode("subscribe", forKey: .type)
            try container.encode(id, forKey: .id)
            try container.encode(subscription.environment, forKey: .environment)
            try container.encodeIfPresent(subscription.since, forKey: .since)
            if !subscription.names.isEmpty { try container.encode(subscription.names, forKey: .names) }
            if subscription.acknowledges { try container.encode(true, forKey: .acks) }
        case .acknowledge(let acknowledgement):
            try container.encode("ack", forKey: .type)
            try container.encode(acknowledgement.environment, forKey: .environment)
            try container.encode(acknowledgement.revision, forKey: .revision)
            switch acknowledgement.status {
            case .applied:
                try container.encode("applied", forKey: .status)
            case .failed(let message):
                try container.encode("failed", forKey: .status)
                // The gateway refuses messages of more than 64 KiB, and this one is for people.
                try container.encode(String(message.prefix(1_000)), forKey: .message)
            }
        }
    }
}
