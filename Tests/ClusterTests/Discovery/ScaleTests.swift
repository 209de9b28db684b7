// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Reactor
import Testing

extension ClusterSuite {
    /// Whoever is started with the same PostgreSQL, Redis and keys takes load by itself; whoever is stopped leaves without an error.
    @Suite struct ScaleTests {
        @Test func twoMoreOfEachJoinAndTheFirstOnesLeaveUnderLoad() async throws {
            let report = try await ScaleScenario().run()
            #expect(report.failedRequests == [])
            #expect(report.repeatedWrites == 0)
            #expect(report.lostConnections == [])
            #expect(report.findings == [])
            #expect(report.ends == [.code(0), .code(0)])
            // Each new one serves, before and after.
            #expect(report.joined.allSatisfy { $0 > 0 }, "\(report.joined)")
            #expect(zip(report.joined, report.alone).prefix(2).allSatisfy { $0 < $1 }, "\(report.joined), then \(report.alone)")
            // All watchers are with the new ones now.
            #expect(report.alone.suffix(2).allSatisfy { $0 >= 10 }, "\(report.alone)")
            #expect(report.writes >= 150)
            #expect(report.changes > report.writes)
        }

        /// The test above is able to fail: a death instead of a farewell is seen, and so is a lost change.
        @Test func aDeathAndALostChangeAreSeen() async throws {
            let report = try await ScaleScenario(farewell: SIGKILL, seededBug: (client: 7, frame: 5)).run()
            #expect(report.ends == [.signal(SIGKILL), .signal(SIGKILL)])
            #expect(!report.lostConnections.isEmpty)
            #expect(report.findings.map(\.who) == [7])
        }
    }
}
