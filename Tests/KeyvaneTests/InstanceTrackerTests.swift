// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Balancer
import Foundation
import Keyvane
import Notifier
import Reactor
import Testing

/// What listings of the registry mean for the balancer's pools: by values.
@Suite struct InstanceTrackerTests {
    private func record(
        _ name: String,
        _ state: InstanceRecord.State = .ready,
        role: InstanceRecord.Role = .gateway,
        at address: String = "10.0.0.1:80"
    ) -> InstanceRecord {
        InstanceRecord(role: role, name: name, address: address, state: state, version: "1")
    }

    @Test func readyInstancesJoinThePoolOfTheirRole() {
        var tracker = InstanceTracker()
        let sets = tracker.listed(
            [record("g1"), record("a1", role: .api, at: "[fd00::1]:81"), record("b1", role: .balancer), record("g2", .starting)],
            at: 0
        )
        #expect(sets["gateway"]?.map(\.name) == ["g1"] && sets["api"]?.map(\.address.description) == ["[fd00::1]:81"])
        #expect(Set(sets.keys) == ["api", "gateway"])
    }

    @Test func drainingOnesSaySoAndLeaveWithTheirRecord() {
        var tracker = InstanceTracker()
        _ = tracker.listed([record("g1"), record("g2", at: "10.0.0.2:80")], at: 0)
        let draining = tracker.listed([record("g1", .draining), record("g2", at: "10.0.0.2:80")], at: 1)
        #expect(draining["gateway"]?.map(\.isDraining) == [true, false])
        let after = tracker.listed([record("g2", at: "10.0.0.2:80")], at: 2)
        #expect(after["gateway"]?.map(\.name) == ["g2"])
    }

    @Test func silentOnesStayAWhile() {
        var tracker = InstanceTracker()
        _ = tracker.listed([record("g1"), record("g2", at: "10.0.0.2:80")], at: 0)
        // A flushed Redis lists nobody for up to a heartbeat.
        let flushed = tracker.listed([], at: 2)
        let later = tracker.listed([record("g1")], at: 9)
        let last = tracker.listed([record("g1")], at: 11)
        #expect(flushed["gateway"]?.count == 2 && later["gateway"]?.count == 2)
        #expect(last["gateway"]?.map(\.name) == ["g1"])
    }

    @Test func whoStartsAgainStaysWhereItWas() {
        var tracker = InstanceTracker()
        _ = tracker.listed([record("g1")], at: 0)
        let again = tracker.listed([record("g1", .starting)], at: 20)
        let elsewhere = tracker.listed([record("g1", .starting, at: "10.0.0.9:80")], at: 21)
        let ready = tracker.listed([record("g1", at: "10.0.0.9:80")], at: 22)
        #expect(again["gateway"]?.count == 1 && elsewhere["gateway"]?.isEmpty == true)
        #expect(ready["gateway"]?.map(\.address.description) == ["10.0.0.9:80"])
    }

    @Test func namesBecomeLegalOnesAndAddressesMustBeSome() {
        var tracker = InstanceTracker()
        let sets = tracker.listed([record("gäte way/1"), record("_x"), record("bad", at: "nowhere"), record("any", at: ":80")], at: 0)
        #expect(sets["gateway"]?.map(\.name).sorted() == ["g-te-way-1", "i_x"])
    }
}

/// Files by their content.
@Suite struct WatchedFilesTests {
    @Test func contentCountsThroughLinksToo() throws {
        let folder = "/tmp/keyvane-watched-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(atPath: "\(folder)/a", withIntermediateDirectories: true)
        try FileManager.default.createDirectory(atPath: "\(folder)/b", withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        func write(_ text: String, _ name: String) throws { try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder)/\(name)")) }
        try write("one", "a/file")
        try write("two", "b/file")
        // As Kubernetes mounts a ConfigMap: the file is a link into a folder that is a link.
        try FileManager.default.createSymbolicLink(atPath: "\(folder)/data", withDestinationPath: "a")
        try FileManager.default.createSymbolicLink(atPath: "\(folder)/file", withDestinationPath: "data/file")
        var files = WatchedFiles(["\(folder)/file", "\(folder)/none"])
        let change1 = files.haveChanged()
        #expect(!change1)
        try FileManager.default.createSymbolicLink(atPath: "\(folder)/next", withDestinationPath: "b")
        #expect(rename("\(folder)/next", "\(folder)/data") == 0)
        let change2 = files.haveChanged()
        #expect(change2)
        let change3 = files.haveChanged()
        #expect(!change3)
        // Another time stamp is no change, other content of the same length is one.
        try write("two", "b/file")
        let change4 = files.haveChanged()
        #expect(!change4)
        try write("owt", "b/file")
        let change5 = files.haveChanged()
        #expect(change5)
        try write("new", "none")
        let change6 = files.haveChanged()
        #expect(change6)
        try FileManager.default.removeItem(atPath: "\(folder)/none")
        let change7 = files.haveChanged()
        #expect(change7)
    }
}
