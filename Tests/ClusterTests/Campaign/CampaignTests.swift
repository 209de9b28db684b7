// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

extension ClusterSuite {
    /// Any process may die, any message may be lost, and every watcher still ends up with every change.
    ///
    /// `KEYVANE_CAMPAIGN_MINUTES=10` makes it longer, `KEYVANE_CAMPAIGN_SEED` makes the same choices again.
    @Suite struct CampaignTests {
        private static func setting(_ name: String) -> UInt64? {
            ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) }
        }

        @Test func everyWatcherIsRightAfterEverythingBroke() async throws {
            var campaign = Campaign()
            if let minutes = Self.setting("KEYVANE_CAMPAIGN_MINUTES") { campaign.time = .seconds(60 * Int64(minutes)) }
            if let seed = Self.setting("KEYVANE_CAMPAIGN_SEED") { campaign.seed = seed }
            let report = try await campaign.run()
            #expect(report.findings == [])
            #expect(report.surprises == [])
            // It was a campaign at all.
            #expect(report.faults.count >= 8)
            #expect(report.writes > 500)
            #expect(report.totals.changes > report.revisions)
        }

        /// The whole campaign is able to fail: a client that loses one frame is found, and nobody else.
        @Test func aClientThatLosesAFrameIsFound() async throws {
            let bug = (client: 7, frame: 5)
            let campaign = Campaign(
                watchers: 30,
                environments: 6,
                writers: 2,
                gateways: 2,
                time: .seconds(6),
                pace: 5...20,
                breaksServers: false,
                seededBug: bug
            )
            let report = try await campaign.run()
            #expect(report.findings.map(\.who) == [bug.client])
            #expect(report.surprises == [])
        }
    }
}
