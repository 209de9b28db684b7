// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Reactor

/// One run of changes against an open fleet: half a second to warm up, the time that counts, and the wait for what is still under way.
/// Confined to the fleet's loop.
final class LoadRun {
    enum Load {
        /// So many changes are under way on each channel. One that half of the sockets have counts half; in lockstep, it counts until the last
        /// socket has it, so that the next changes leave together with the end of a server's round.
        case closed(inFlight: Int, isLockstep: Bool)
        case paced(perSecond: Double)
    }

    private struct Counts {
        var time: UInt64
        var published: Int
        var delivered: Int
        var bytes: Int
        var reads: Int
    }

    private enum Stage {
        case warming
        case measuring(Counts)
        case draining(FanoutReport)
        case ended
    }

    private static let warmUp: UInt64 = 500_000
    /// When nothing has come for so long, what is under way is lost.
    private static let patience: UInt64 = 2_000_000

    var ended: ((FanoutReport) -> Void)?
    private let load: Load
    private let length: UInt64
    private let fleet: SocketFleet
    private let publisher: any LoadPublisher
    private let tally: DeliveryTally
    /// Sockets of each channel.
    private let members: [Int]
    private var published: [Int]
    /// Changes of each channel that count as arrived because nothing more comes of them: not every server keeps all.
    private var writtenOff: [Int]
    private var lastTotal = 0
    private var lastArrival: UInt64
    private var stage = Stage.warming
    private let began: UInt64
    private var timer: LoopTimer?

    init(_ load: Load, seconds: Double, fleet: SocketFleet, publisher: any LoadPublisher, on loop: Loop) {
        self.load = load
        self.fleet = fleet
        self.publisher = publisher
        length = UInt64(seconds * 1e6)
        members = fleet.members
        published = [Int](repeating: 0, count: members.count)
        writtenOff = published
        began = BenchClock.microseconds
        lastArrival = began
        switch load {
        case .closed(let inFlight, _): publisher.beginRun(ahead: inFlight, isTimed: false)
        case .paced: publisher.beginRun(ahead: 4, isTimed: true)
        }
        switch load {
        case .closed:
            tally = DeliveryTally(members: members)
        case .paced:
            tally = DeliveryTally(members: members, wantsSamples: true)
            timer = loop.every(.milliseconds(1)) { [unowned self] in step() }
        }
        fleet.tally = tally
        fleet.lookAround = { [unowned self] in step() }
    }

    /// The end of the fleet's turn; true while the loop must not wait for events.
    func turn() -> Bool {
        guard case .closed = load else { return false }
        step()
        if case .ended = stage { return false }
        // At saturation a client that reads at once reads one message at a time, and so measures itself. Equal for all servers.
        usleep(1000)
        return true
    }

    private func step() {
        let now = BenchClock.microseconds
        if tally.total != lastTotal { (lastTotal, lastArrival) = (tally.total, now) }
        switch stage {
        case .warming:
            publish(now)
            if now - began >= Self.warmUp { stage = .measuring(counts(now)) }
        case .measuring(let start):
            publish(now)
            guard now - start.time >= length else { return }
            stage = .draining(report(since: start, until: counts(now)))
            for (channel, count) in publisher.finishRun().enumerated() { published[channel] += count }
        case .draining(let report):
            let due = zip(published, members).reduce(0) { $0 + $1.0 * $1.1 }
            guard tally.total >= due || now - lastArrival > Self.patience else { return }
            end(report, missing: due - tally.total)
        case .ended:
            break
        }
    }

    private func publish(_ now: UInt64) {
        switch load {
        case .closed(let inFlight, let isLockstep):
            for channel in published.indices {
                let arrived = isLockstep ? tally.complete(channel) : tally.average(channel)
                if now - lastArrival > Self.patience / 4 { writtenOff[channel] = published[channel] - arrived }
                while published[channel] - writtenOff[channel] - arrived < inFlight { publishOne(channel) }
            }
        case .paced(let perSecond):
            var count = published.reduce(0, +)
            while Double(count) < Double(now - began) / 1e6 * perSecond {
                publishOne(count % published.count)
                count += 1
            }
        }
    }

    private func publishOne(_ channel: Int) {
        publisher.publish(channel: channel)
        published[channel] += 1
    }

    // MARK: Result

    private func counts(_ now: UInt64) -> Counts {
        Counts(time: now, published: published.reduce(0, +), delivered: tally.total, bytes: fleet.receivedBytes, reads: fleet.reads)
    }

    private func report(since start: Counts, until now: Counts) -> FanoutReport {
        var report = FanoutReport()
        let deliveries = now.delivered - start.delivered
        report.sockets = fleet.sockets.count
        report.seconds = Double(now.time - start.time) / 1e6
        report.published = now.published - start.published
        report.deliveries = deliveries
        report.perSecond = Double(deliveries) / report.seconds
        report.bytesPerDelivery = Double(now.bytes - start.bytes) / Double(max(1, deliveries))
        report.deliveriesPerRead = Double(deliveries) / Double(max(1, now.reads - start.reads))
        return report
    }

    private func end(_ report: FanoutReport, missing: Int) {
        stage = .ended
        timer?.cancel()
        fleet.tally = nil
        fleet.lookAround = nil
        var report = report
        report.missing = missing
        if case .paced = load { addLatencies(to: &report) }
        ended?(report)
    }

    private func addLatencies(to report: inout FanoutReport) {
        let times = publisher.stamps.times
        var latencies: [UInt64] = []
        // The first half second is warm-up here as well.
        for sample in tally.samples where UInt64(sample.at) >= Self.warmUp {
            guard let start = times[sample.number] else { continue }
            let at = tally.began + UInt64(sample.at)
            latencies.append(at > start ? at - start : 0)
        }
        latencies.sort()
        guard !latencies.isEmpty else { return }
        func percentile(_ share: Double) -> Double { Double(latencies[Int(Double(latencies.count - 1) * share)]) / 1000 }
        report.p50 = percentile(0.5)
        report.p99 = percentile(0.99)
    }
}
