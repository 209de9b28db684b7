// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Reactor

/// Carries out one order at a time. Confined to the fleet's loop.
final class FanoutBench {
    private let fleet: SocketFleet
    private let publisher: any LoadPublisher
    private let loop: Loop
    var orders: OrderReader?
    private var run: LoadRun?

    init(fleet: SocketFleet, publisher: any LoadPublisher, on loop: Loop) {
        self.fleet = fleet
        self.publisher = publisher
        self.loop = loop
        // This thread alone, on Linux: who publishes shares the core with it and must not wait for its turn.
        setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 10)
        loop.addTurnTask { [weak self] in self?.run?.turn() ?? false }
    }

    func close() {
        orders?.close()
        fleet.closeAll()
    }

    func perform(_ order: FanoutOrder, _ done: @escaping (FanoutReport) -> Void) {
        switch order {
        case .open(let count): open(count, done)
        case .run(let load, let seconds): start(load, seconds: seconds, done)
        case .failover(let pid, let ports, let target):
            failover(pid, to: ports, target, done)
        }
    }

    private func open(_ count: Int, _ done: @escaping (FanoutReport) -> Void) {
        let (began, before) = (BenchClock.microseconds, fleet.subscribed)
        fleet.open(count) { [fleet, loop] in
            var report = FanoutReport()
            report.sockets = fleet.subscribed
            report.seconds = Double(BenchClock.microseconds - began) / 1e6
            report.perSecond = Double(fleet.subscribed - before) / report.seconds
            // The last snapshots may still be on their way, and must not count as changes.
            loop.after(.milliseconds(200)) { [report] in done(report) }
        }
    }

    private func start(_ load: LoadRun.Load, seconds: Double, _ done: @escaping (FanoutReport) -> Void) {
        let run = LoadRun(load, seconds: seconds, fleet: fleet, publisher: publisher, on: loop)
        self.run = run
        run.ended = { [self] report in
            self.run = nil
            done(report)
        }
        loop.requestTurn()
    }

    /// A change is committed while the sockets are on their way: each must get it, from wherever it ends up.
    private func failover(_ pid: Int32, to ports: [UInt16], _ target: String, _ done: @escaping (FanoutReport) -> Void) {
        let tally = DeliveryTally(members: fleet.members)
        fleet.tally = tally
        fleet.request.target = target
        // What was missed comes instead of a snapshot.
        fleet.request.ready = #""type":"subscribed""#
        var (lost, turn) = (0, 0)
        fleet.lost = { [fleet] socket in
            lost += 1
            turn = (turn + 1) % ports.count
            fleet.connect(socket, port: ports[turn])
        }
        let began = BenchClock.microseconds
        kill(pid, SIGKILL)
        for channel in 0..<fleet.channels { publisher.publish(channel: channel) }
        var timer: LoopTimer?
        timer = loop.every(.milliseconds(2)) { [fleet] in
            let seconds = Double(BenchClock.microseconds - began) / 1e6
            guard tally.total >= fleet.sockets.count || seconds > 60 else { return }
            timer?.cancel()
            fleet.lost = nil
            fleet.tally = nil
            var report = FanoutReport()
            report.sockets = lost
            report.seconds = seconds
            report.deliveries = tally.total
            report.missing = fleet.sockets.count - tally.total
            done(report)
        }
    }
}

/// One line of JSON; what an order doesn't tell is left out.
struct FanoutReport: Encodable {
    var sockets: Int?
    var seconds = 0.0
    var published: Int?
    var deliveries: Int?
    /// Sockets opened, or deliveries, a second.
    var perSecond = 0.0
    /// Deliveries that were due and did not come; negative for those that came twice.
    var missing: Int?
    var bytesPerDelivery: Double?
    var deliveriesPerRead: Double?
    /// Milliseconds to the socket, from the publisher's stamp.
    var p50: Double?
    var p99: Double?
}

enum BenchExit {
    /// A load generator that can't go on has measured nothing.
    static func fail(_ text: String) -> Never {
        Terminal.note("keyvane: \(text)")
        exit(1)
    }
}
