// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Notifier
import Testing

@Suite("An order to drain or to serve again")
struct InstanceOrderTests {
    private static let now: Int64 = 1_795_229_306_123

    private static func order(_ offset: Int64 = 0, role: InstanceRecord.Role = .gateway, name: String = "gateway-1") -> InstanceOrder {
        InstanceOrder(role: role, name: name, at: now + offset)
    }

    @Test("is taken once, and no older one after it")
    func replay() {
        var desk = InstanceOrderDesk(role: .gateway, name: "gateway-1")
        #expect(desk.decide(Self.order(), isTrusted: true, at: Self.now) == .taken)
        #expect(desk.decide(Self.order(), isTrusted: true, at: Self.now) == .untimely)
        #expect(desk.decide(Self.order(-1), isTrusted: true, at: Self.now) == .untimely)
        #expect(desk.decide(Self.order(1), isTrusted: true, at: Self.now) == .taken)
    }

    @Test("is of this moment", arguments: [(-30_001, false), (-30_000, true), (30_000, true), (30_001, false)])
    func moment(offset: Int64, isTaken: Bool) {
        var desk = InstanceOrderDesk(role: .gateway, name: "gateway-1")
        #expect((desk.decide(Self.order(offset), isTrusted: true, at: Self.now) == .taken) == isTaken)
        // What was refused doesn't stand in the way of the next one.
        #expect((desk.decide(Self.order(-30_000), isTrusted: true, at: Self.now) == .taken) == (!isTaken || offset < -30_000))
    }

    @Test("is for one instance of one role, and signed")
    func addressee() {
        var desk = InstanceOrderDesk(role: .gateway, name: "gateway-1")
        #expect(desk.decide(Self.order(role: .api), isTrusted: true, at: Self.now) == .ignored)
        #expect(desk.decide(Self.order(name: "gateway-2"), isTrusted: true, at: Self.now) == .ignored)
        #expect(desk.decide(Self.order(), isTrusted: false, at: Self.now) == .ignored)
        #expect(desk.decide(Self.order(), isTrusted: true, at: Self.now) == .taken)
    }
}
