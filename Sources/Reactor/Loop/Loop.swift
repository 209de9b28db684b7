// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Event loops: one thread and one uv_loop_t each.
// Flows through: readiness of descriptors, timers, posted work and actor jobs, in the order they arrive.
// Owner: the loop's thread owns every handle made on it; other threads may only `post` and `enqueue`.
// Must hold: nothing that blocks ever runs here; a turn's work is bounded; deferred work never runs inside the caller.

import CUV
import Glibc
import Synchronization

/// One event loop with its own thread, usable as an actor's executor.
///
/// Unchecked: everything mutable is confined to the loop's thread (asserted), but `inbox`, which is guarded by its mutex, and `thread`,
/// which is atomic.
package final class Loop: SerialExecutor, @unchecked Sendable {
    /// Position in its group; 0 for the first.
    package let index: Int
    private let name: String
    let uv: UnsafeMutablePointer<uv_loop_t>
    /// The only receive buffer: lent to one connection at a time while it reads, so an idle socket owns none.
    let readBuffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 * 1024, alignment: 16)

    private static let deferredKept = 1024

    private let wakeup = UnsafeMutablePointer<uv_async_t>.allocate(capacity: 1)
    private let check = UnsafeMutablePointer<uv_check_t>.allocate(capacity: 1)
    private let idle = UnsafeMutablePointer<uv_idle_t>.allocate(capacity: 1)
    private let inbox = Mutex(Inbox())
    private let thread = Atomic<UInt>(0)
    private var deferred: [() -> Void] = []
    /// Empty between turns; the two take turns, so that neither is allocated anew each time.
    private var due: [() -> Void] = []
    private var turnTasks: [() -> Bool] = []
    private var turnRequested = false
    private var stopping = false

    private struct Inbox {
        enum Item {
            case work(@Sendable () -> Void)
            case job(UnownedJob)
        }
        var items: [Item] = []
        var woken = false
        var closed = false
    }

    init(index: Int, name: String) throws(ReactorError) {
        self.index = index
        self.name = name
        uv = .allocate(capacity: 1)
        let status = uv_loop_init(uv)
        guard status == 0 else { throw ReactorError(.tooManyFiles, "create an event loop", errno: -status) }
        let own = Unmanaged.passUnretained(self).toOpaque()
        uv_async_init(uv, wakeup) { handle in Loop.owner(of: handle?.pointee.data)?.drainInbox() }
        uv_check_init(uv, check)
        uv_idle_init(uv, idle)
        wakeup.pointee.data = own
        check.pointee.data = own
        uv_check_start(check) { handle in Loop.owner(of: handle?.pointee.data)?.turnEnded() }
    }

    deinit {
        readBuffer.deallocate()
        wakeup.deallocate()
        check.deallocate()
        idle.deallocate()
        uv.deallocate()
    }

    private static func owner(of data: UnsafeMutableRawPointer?) -> Loop? {
        data.map { Unmanaged<Loop>.fromOpaque($0).takeUnretainedValue() }
    }

    // MARK: From any thread

    /// True on the loop's own thread.
    package var isCurrent: Bool { thread.load(ordering: .relaxed) == UInt(pthread_self()) }

    package func assertCurrent() {
        precondition(isCurrent, "called off loop \(index)")
    }

    /// Runs `work` on the loop; calls from one thread keep their order. Work posted to a loop that has shut down is dropped.
    package func post(_ work: @escaping @Sendable () -> Void) {
        put(.work(work))
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        put(.job(UnownedJob(job)))
    }

    package func checkIsolated() {
        assertCurrent()
    }

    package func isIsolatingCurrentContext() -> Bool? { isCurrent }

    /// Runs `body` on the loop and waits for its value.
    package func run<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            post { continuation.resume(with: Result(catching: body)) }
        }
    }

    private func put(_ item: Inbox.Item) {
        let wake = inbox.withLock { inbox -> Bool in
            // An actor's job must run somewhere, also after the end of its loop: see `finish`.
            if inbox.closed, case .work = item { return false }
            inbox.items.append(item)
            defer { inbox.woken = true }
            return !inbox.woken && !inbox.closed
        }
        if wake { uv_async_send(wakeup) }
    }

    private func drainInbox() {
        let items = inbox.withLock { inbox in
            inbox.woken = false
            return exchange(&inbox.items, with: [])
        }
        for item in items {
            switch item {
            case .work(let work): work()
            case .job(let job): unsafe job.runSynchronously(on: asUnownedSerialExecutor())
            }
        }
    }

    // MARK: On the loop

    /// The loop's cached monotonic clock, in milliseconds, refreshed every turn.
    package var milliseconds: UInt64 { uv_now(uv) }

    /// Runs `body` after the events of this turn, never inside the caller: the cure for callbacks that re-enter their caller.
    package func `defer`(_ body: @escaping () -> Void) {
        assertCurrent()
        deferred.append(body)
        requestTurn()
    }

    /// Adds work done at the end of turns: it returns true while some is left, and the next poll then doesn't wait.
    package func addTurnTask(_ task: @escaping () -> Bool) {
        assertCurrent()
        turnTasks.append(task)
    }

    /// Makes sure that the turn tasks run soon, wherever in the turn this is called from.
    package func requestTurn() {
        guard !turnRequested else { return }
        turnRequested = true
        uv_idle_start(idle) { _ in }
    }

    private func turnEnded() {
        if !deferred.isEmpty {
            swap(&deferred, &due)
            for body in due { body() }
            due.removeAll(keepingCapacity: due.capacity <= Self.deferredKept)
        }
        var workLeft = !deferred.isEmpty
        for task in turnTasks where task() { workLeft = true }
        workLeft = workLeft || !deferred.isEmpty
        if workLeft {
            requestTurn()
        } else if turnRequested {
            turnRequested = false
            uv_idle_stop(idle)
        }
    }

    // MARK: Life

    func runUntilStopped() {
        thread.store(UInt(pthread_self()), ordering: .relaxed)
        // Linux shows 15 bytes of a thread's name.
        cuv_name_thread(String("\(name)-\(index)".prefix(15)))
        uv_run(uv, UV_RUN_DEFAULT)
        // Every handle is closed now; what still came in is run here, so that no actor waits for ever.
        inbox.withLock { $0.closed = true }
        while inbox.withLock({ !$0.items.isEmpty }) { drainInbox() }
        deferred = []
        turnTasks = []
        uv_loop_close(uv)
    }

    func stop() {
        post { [self] in
            guard !stopping else { return }
            stopping = true
            // One more turn first: closing connections report to their handlers in deferred work.
            self.defer { [self] in
                uv_walk(uv, { handle, _ in LoopHandle.closeAny(handle) }, nil)
                uv_close(UnsafeMutableRawPointer(wakeup).assumingMemoryBound(to: uv_handle_t.self), nil)
                uv_close(UnsafeMutableRawPointer(check).assumingMemoryBound(to: uv_handle_t.self), nil)
                uv_close(UnsafeMutableRawPointer(idle).assumingMemoryBound(to: uv_handle_t.self), nil)
            }
        }
    }
}

/// `swap` that returns the old value.
func exchange<Value>(_ value: inout Value, with new: Value) -> Value {
    let old = value
    value = new
    return old
}
