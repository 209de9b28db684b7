// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Glibc
import Reactor
import Synchronization
import TestSupport
import Testing

@Suite struct LoopTests {
    @Test func postsOfOneThreadKeepTheirOrder() async throws {
        try await LoopGroup.withLoops(count: 1) { group in
            let seen = Events<Int>()
            for number in 0..<10_000 { group.loops[0].post { seen.emit(number) } }
            let all = try await seen.until("10,000 posts") { $0.count == 10_000 }
            #expect(all == Array(0..<10_000))
        }
    }

    @Test func everyPostOfManyThreadsRuns() async throws {
        try await LoopGroup.withLoops(count: 2) { group in
            let count = Events<Int>()
            await withTaskGroup(of: Void.self) { tasks in
                for _ in 0..<8 {
                    tasks.addTask {
                        for number in 0..<500 { group.next().post { count.emit(number) } }
                    }
                }
            }
            try await count.until("4,000 posts") { $0.count == 4_000 }
        }
    }

    @Test func deferredWorkNeverRunsInsideItsCaller() async throws {
        try await LoopGroup.withLoops(count: 1) { group in
            let loop = group.loops[0]
            let order = Events<String>()
            loop.post {
                loop.defer {
                    order.emit("first")
                    loop.defer { order.emit("nested") }
                }
                order.emit("caller")
            }
            let seen = try await order.until { $0.count == 3 }
            #expect(seen == ["caller", "first", "nested"])
        }
    }

    @Test func turnTasksRunAgainWhileWorkIsLeftAndNotAfter() async throws {
        try await LoopGroup.withLoops(count: 1) { group in
            let loop = group.loops[0]
            let turns = Events<Int>()
            loop.post {
                var left = 5
                loop.addTurnTask {
                    guard left > 0 else { return false }
                    left -= 1
                    turns.emit(left)
                    return left > 0
                }
                loop.requestTurn()
            }
            let seen = try await turns.until { $0.last == 0 }
            #expect(seen == [4, 3, 2, 1, 0])
        }
    }

    @Test func aTurnRequestedByATimerRunsWithoutAnotherEvent() async throws {
        // Timers run before the poll: without the idle handle the loop would sleep on the work that they ask for.
        try await LoopGroup.withLoops(count: 1) { group in
            let loop = group.loops[0]
            let ran = Events<Bool>()
            loop.post {
                var wanted = false
                loop.addTurnTask {
                    if wanted { ran.emit(true) }
                    wanted = false
                    return false
                }
                loop.after(.milliseconds(20)) {
                    wanted = true
                    loop.requestTurn()
                }
            }
            let seen = try await ran.first()
            #expect(seen)
        }
    }

    @Test func timersFireInOrderAndCancelledOnesDoNot() async throws {
        try await LoopGroup.withLoops(count: 1) { group in
            let loop = group.loops[0]
            let fired = Events<String>()
            loop.post {
                loop.after(.milliseconds(60)) { fired.emit("late") }
                loop.after(.milliseconds(10)) { fired.emit("early") }
                let cancelled = loop.after(.milliseconds(30)) { fired.emit("cancelled") }
                cancelled.cancel()
                cancelled.cancel()
            }
            let seen = try await fired.until { $0.contains("late") }
            #expect(seen == ["early", "late"])
        }
    }

    @Test func aRepeatingTimerStopsFromItsOwnCallback() async throws {
        try await LoopGroup.withLoops(count: 1) { group in
            let loop = group.loops[0]
            let fired = Events<Int>()
            loop.post {
                var timer: LoopTimer?
                var count = 0
                timer = loop.every(.milliseconds(2)) {
                    count += 1
                    if count == 3 {
                        timer?.cancel()
                        loop.after(.milliseconds(30)) { fired.emit(count) }
                    }
                }
            }
            let seen = try await fired.first()
            #expect(seen == 3)
        }
    }

    private actor Confined {
        nonisolated let loop: Loop
        nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
        private var count = 0

        init(_ loop: Loop) { self.loop = loop }

        func increment() -> Int {
            loop.assertCurrent()
            count += 1
            return count
        }
    }

    @Test func anActorRunsOnItsLoopAndLoopCallbacksMayEnterIt() async throws {
        try await LoopGroup.withLoops(count: 1) { group in
            let loop = group.loops[0]
            let actor = Confined(loop)
            for expected in 1...100 { #expect(await actor.increment() == expected) }
            let value = try await loop.run { actor.assumeIsolated { $0.increment() } }
            #expect(value == 101)
        }
    }

    @Test func runReturnsErrorsToTheCaller() async throws {
        try await LoopGroup.withLoops(count: 1) { group in
            await #expect(throws: DeadlinePassed.self) {
                try await group.loops[0].run { throw DeadlinePassed("on purpose") }
            }
        }
    }

    @Test func aSignalReachesItsWatcher() async throws {
        try await LoopGroup.withLoops(count: 1) { group in
            let loop = group.loops[0]
            let received = Events<Bool>()
            try await loop.run {
                _ = try SignalWatcher(SIGUSR2, on: loop) { received.emit(true) }
            }
            kill(getpid(), SIGUSR2)
            let seen = try await received.first()
            #expect(seen)
        }
    }

    @Test func endingAGroupEndsOpenConnectionsTimersAndThreads() async throws {
        let closed = Events<Bool>()
        try await LoopGroup.withLoops(count: 2) { group in
            let loop = group.loops[1]
            try await loop.run {
                loop.every(.milliseconds(1)) {}
                let socket = try ListenSocket.open(Endpoint(host: "127.0.0.1", port: 0))[0]
                let listener = try Listener(socket, on: loop) { _ in }
                loop.after(.seconds(3600)) { listener.close() }
            }
            closed.emit(true)
        }
        #expect(closed.all == [true])
    }
}
