// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// The registered close codes that are sent or met here; the products have their own from 4000 on.
package struct WebSocketCloseCode: RawRepresentable, Sendable, Hashable {
    package let rawValue: UInt16

    package init(rawValue: UInt16) {
        self.rawValue = rawValue
    }

    package static let normal = Self(rawValue: 1000)
    package static let goingAway = Self(rawValue: 1001)
    package static let protocolError = Self(rawValue: 1002)
    package static let unsupportedData = Self(rawValue: 1003)
    package static let noStatus = Self(rawValue: 1005)
    package static let abnormal = Self(rawValue: 1006)
    package static let invalidPayload = Self(rawValue: 1007)
    package static let policyViolation = Self(rawValue: 1008)
    package static let messageTooBig = Self(rawValue: 1009)
    package static let internalError = Self(rawValue: 1011)
    package static let serviceRestart = Self(rawValue: 1012)
    package static let tryAgainLater = Self(rawValue: 1013)

    /// 1004, 1005, 1006 and 1015 are for reports only; what is not registered is refused (RFC 6455 section 7.4.2).
    package var isValidOnTheWire: Bool {
        switch rawValue {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }
}
