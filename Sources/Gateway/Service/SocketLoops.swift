// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor
import Synchronization

/// The socket loops by index, for posts from the feed loop. Filled once while the service starts; guarded by its mutex.
final class SocketLoops: Sendable {
    private let bound = Mutex<[LoopBound<SocketLoop>]>([])
    let count: Int

    init(count: Int) {
        self.count = count
    }

    func add(_ loop: LoopBound<SocketLoop>) {
        bound.withLock { $0.append(loop) }
    }

    var all: [LoopBound<SocketLoop>] { bound.withLock { $0 } }

    /// Runs on the loop of that index; what is posted before the loop has its sockets is for nobody.
    func post(_ index: Int, _ body: @escaping @Sendable (SocketLoop) -> Void) {
        guard let loop = bound.withLock({ index < $0.count ? $0[index] : nil }) else { return }
        loop.loop.post { body(loop.value) }
    }
}
