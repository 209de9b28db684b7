// Keyvane
// SPDX-License-Identifier: Apache-2.0

// The access log: one line for each request, tunnels when they end.
// Flows through: a request's head -> `LoggedRequest`, which its exchange and tunnel mark as they go -> `AccessLog.write` -> the logger as
//   JSON, or a line of HAProxy's `option httplog` (`HTTPLogLine`).
// Owner: an exchange owns what it logs and hands it to its tunnel; the log itself is immutable and shared by the loops.
// Must hold: where it is off nothing is made; no token gets into a line; what fails is logged whatever the sample.

import Logging

final class AccessLog: Sendable {
    /// Where no route says otherwise.
    let rule: AccessLogRule
    /// Some request may be logged.
    let isUsed: Bool
    private let logger: Logger
    private let writeLine: (@Sendable ([UInt8]) -> Void)?

    /// `writeLine` gets lines of HAProxy's format with their line feed; without it the logger does.
    init(_ configuration: BalancerConfiguration, logger: Logger, writeLine: (@Sendable ([UInt8]) -> Void)?) {
        rule = configuration.accessLog
        isUsed = rule.format != .off || configuration.routes.contains { ($0.accessLog ?? AccessLogRule(.off)).format != .off }
        self.logger = logger
        self.writeLine = writeLine
    }

    /// `loads` are the connections of the moment.
    func write(_ request: LoggedRequest, loads: @autoclosure () -> HTTPLogLine.Loads, using generator: inout some RandomNumberGenerator) {
        let rule = request.rule
        let isFailure = request.status >= 500 || request.cause != .done
        guard isFailure || rule.sample >= 1 || Double.random(in: 0..<1, using: &generator) < rule.sample else { return }
        switch rule.format {
        case .off:
            break
        case .json:
            logger.log(.info, "request", request.metadata)
        case .httplog:
            let line = HTTPLogLine.bytes(request, loads())
            if let writeLine {
                writeLine(line)
            } else {
                logger.log(.info, "request", [.line: String(decoding: line.dropLast(), as: UTF8.self)])
            }
        }
    }
}
