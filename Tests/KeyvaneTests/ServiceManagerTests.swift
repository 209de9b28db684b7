// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Keyvane
import Testing

/// What a service manager leaves in the environment.
@Suite struct ServiceManagerTests {
    @Test func socketsBeginBehindStandardErrorAndHaveNames() throws {
        let named = try ServiceManager(
            environment: ["LISTEN_PID": "7", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "http:https"],
            process: 7
        )
        #expect(named.descriptors.map(\.number) == [3, 4] && named.descriptors.map(\.name) == ["http", "https"])
        let nameless = try ServiceManager(environment: ["LISTEN_PID": "7", "LISTEN_FDS": "1"], process: 7)
        #expect(nameless.descriptors.map(\.name) == ["unknown"])
    }

    @Test func whatIsMeantForAnotherProcessIsNotOurs() throws {
        let other = try ServiceManager(
            environment: ["LISTEN_PID": "8", "LISTEN_FDS": "2", "NOTIFY_SOCKET": "/x", "WATCHDOG_PID": "8", "WATCHDOG_USEC": "1000000"],
            process: 7
        )
        #expect(other.descriptors.isEmpty && other.patience == nil)
        #expect(try ServiceManager(environment: [:], process: 7).descriptors.isEmpty)
    }

    @Test func aWatchdogNeedsAnEar() throws {
        let own = ["WATCHDOG_PID": "7", "WATCHDOG_USEC": "3000000"]
        #expect(try ServiceManager(environment: own, process: 7).patience == nil)
        let told = own.merging(["NOTIFY_SOCKET": "@x"]) { $1 }
        #expect(try ServiceManager(environment: told, process: 7).patience == .seconds(3))
    }

    @Test(arguments: [["LISTEN_FDS": "many"], ["LISTEN_FDS": "-1"], ["LISTEN_FDS": "2", "LISTEN_FDNAMES": "a"]])
    func aPromiseThatCannotBeReadIsRefused(_ promise: [String: String]) {
        let environment = promise.merging(["LISTEN_PID": "7"]) { $1 }
        #expect(throws: RunError.self) { try ServiceManager(environment: environment, process: 7) }
    }
}
