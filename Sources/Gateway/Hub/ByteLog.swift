// Keyvane
// SPDX-License-Identifier: Apache-2.0

import DequeModule
package import Store

/// Encoded frames of one group on one loop, appended once and sent from wherever each socket is. Confined to the loop.
///
/// Positions count the bytes ever appended, so they stay valid when the front is dropped. A position inside a frame belongs to a socket that
/// is in the middle of it.
package struct ByteLog {
    /// A whole frame, and the state of the environment that it leads to.
    package struct Frame {
        package let end: Int
        package let cursor: Cursor
        package let changes: Int
        /// When its newest change was committed, in milliseconds since 1970.
        package let committedAt: Int64
    }

    /// Capacity that an idle log may keep.
    private static let idleCapacity = 16 * 1024

    private var bytes: [UInt8] = []
    /// How much of the array's front is dropped already.
    private var dropped = 0
    /// The position of the first byte kept.
    package private(set) var start = 0
    private var frames: Deque<Frame> = []
    /// What a socket at `start` has been sent.
    private var startCursor: Cursor

    package init(_ cursor: Cursor) {
        startCursor = cursor
    }

    package var end: Int { start + bytes.count - dropped }
    package var count: Int { bytes.count - dropped }
    package var isEmpty: Bool { bytes.count == dropped }
    package var newest: Frame? { frames.last }

    package mutating func append(_ frame: [UInt8], leadingTo cursor: Cursor, changes: Int = 1, committedAt: Int64 = 0) {
        bytes.append(contentsOf: frame)
        frames.append(Frame(end: end, cursor: cursor, changes: changes, committedAt: committedAt))
    }

    /// An environment whose invisible changes moved it on while nothing was kept: where a socket at the end stands.
    package mutating func moved(to cursor: Cursor) {
        if frames.isEmpty { startCursor = cursor }
    }

    /// Lends everything from a position to the end, or to the end of the frame that the position is in.
    package func withBytes<Value>(from position: Int, to limit: Int? = nil, _ body: (Span<UInt8>) -> Value) -> Value {
        precondition(position >= start && position <= end, "position \(position) is outside the log \(start)..<\(end)")
        let lower = dropped + position - start
        return body(bytes.span.extracting(lower..<(limit.map { dropped + $0 - start } ?? bytes.count)))
    }

    /// The index of the frame that a position is in or starts.
    private func frameIndex(at position: Int) -> Int {
        var lower = 0
        var upper = frames.count
        while lower < upper {
            let middle = (lower + upper) / 2
            if frames[middle].end > position { upper = middle } else { lower = middle + 1 }
        }
        return lower
    }

    package func isBoundary(_ position: Int) -> Bool {
        guard position != end, position != start else { return true }
        let index = frameIndex(at: position)
        return index > 0 && frames[index - 1].end == position
    }

    /// The end of the frame that is cut at a position; the position itself where none is.
    package func frameEnd(_ position: Int) -> Int {
        isBoundary(position) ? position : frames[frameIndex(at: position)].end
    }

    /// The state that the whole frames before a position lead to.
    package func cursor(sentBefore position: Int) -> Cursor {
        let index = frameIndex(at: position)
        return index == 0 ? startCursor : frames[index - 1].cursor
    }

    /// Changes in the whole frames between two positions of one socket.
    package func changes(from lower: Int, to upper: Int) -> Int {
        var total = 0
        for index in frameIndex(at: lower)..<frameIndex(at: upper) { total += frames[index].changes }
        return total
    }

    /// The first frame start at or behind a position.
    package func boundary(atOrAfter position: Int) -> Int {
        if position <= start { return start }
        return isBoundary(position) ? position : frames[frameIndex(at: position)].end
    }

    /// Drops whole frames that end at or before a position.
    package mutating func drop(before position: Int) {
        var newStart = start
        while let frame = frames.first, frame.end <= position {
            frames.removeFirst()
            newStart = frame.end
            startCursor = frame.cursor
        }
        dropped += newStart - start
        start = newStart
        if isEmpty {
            dropped = 0
            if bytes.capacity > Self.idleCapacity {
                bytes = []
                frames = []
            } else {
                bytes.removeAll(keepingCapacity: true)
            }
        } else if dropped > bytes.count / 2 {
            // Each byte moves at most once for each byte that goes.
            bytes.removeFirst(dropped)
            dropped = 0
        }
    }
}
