// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// A listener's arrivals, oldest first. Confined to its loop; holds them until they are connections or turned away.
///
/// A handshake costs a thousand times what a request does, so at most a few are advanced a turn: a storm of them delays the newcomers, not
/// those who are in already.
final class ArrivalQueue {
    /// More, and the oldest must go: it has had the most time.
    private static let limit = 8192
    private static let handshakesPerTurn = 4

    private let loop: Loop
    private let options: ListenerOptions
    private let arrived: (Connection) -> Void
    private var first: Arrival?
    private var last: Arrival?
    private var count = 0
    private var ready: [Arrival] = []
    private var isAdvancing = false
    private var timer: LoopTimer?
    /// Itself, where its listener is gone and arrivals are left.
    private var ownHold: ArrivalQueue?

    init(_ options: ListenerOptions, on loop: Loop, arrived: @escaping (Connection) -> Void) {
        self.options = options
        self.loop = loop
        self.arrived = arrived
    }

    func add(_ arrival: Arrival) {
        if count == Self.limit, let oldest = first { turnAway(oldest, .timedOut) }
        arrival.previous = last
        last?.next = arrival
        last = arrival
        if first == nil { first = arrival }
        count += 1
        if timer == nil { arm() }
        arrival.watch { [weak self, unowned arrival] in self?.becameReady(arrival) }
    }

    func closeAll() {
        timer?.cancel()
        timer = nil
        while let arrival = first {
            remove(arrival)
            arrival.close()
        }
    }

    /// Nobody comes any more; those who are here have their time.
    func outliveListener() {
        if first != nil { ownHold = self }
    }

    private func remove(_ arrival: Arrival) {
        let next = arrival.next
        next?.previous = arrival.previous
        if let previous = arrival.previous { previous.next = next } else { first = next }
        if next == nil { last = arrival.previous }
        arrival.next = nil
        arrival.previous = nil
        count -= 1
        if first == nil { ownHold = nil }
    }

    private func turnAway(_ arrival: Arrival, _ failure: ArrivalFailure) {
        remove(arrival)
        arrival.close()
        options.turnedAway(failure, arrival.peer)
    }

    // MARK: Progress

    private func becameReady(_ arrival: Arrival) {
        guard !arrival.isReady else { return }
        arrival.isReady = true
        ready.append(arrival)
        advanceSoon()
    }

    private func advanceSoon() {
        guard !isAdvancing else { return }
        isAdvancing = true
        loop.defer { [weak self] in self?.advance() }
    }

    private func advance() {
        isAdvancing = false
        let batch = ready.prefix(Self.handshakesPerTurn)
        ready.removeFirst(batch.count)
        for arrival in batch where arrival.isWaiting {
            arrival.isReady = false
            switch arrival.advance() {
            case .waits:
                break
            case .finished(let connection):
                remove(arrival)
                arrived(connection)
            case .failed(let failure):
                turnAway(arrival, failure)
            }
        }
        if !ready.isEmpty { advanceSoon() }
    }

    // MARK: Time

    private func arm() {
        guard let first else { return }
        timer = loop.after(.milliseconds(first.deadline > loop.milliseconds ? first.deadline - loop.milliseconds : 0)) { [weak self] in
            self?.expire()
        }
    }

    /// All have the same time, so the oldest is the first whose time is up.
    private func expire() {
        timer = nil
        while let arrival = first, arrival.deadline <= loop.milliseconds { turnAway(arrival, .timedOut) }
        arm()
    }
}
