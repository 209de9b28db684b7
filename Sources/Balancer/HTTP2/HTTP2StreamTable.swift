// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// The open streams of a connection, by id. There are a hundred at most and a few mostly, and each frame asks: a look along a row of numbers
/// is quicker than a hash. Owned by its connection.
struct HTTP2StreamTable {
    private var ids: [Int32] = []
    private var streams: [HTTP2Stream] = []

    var isEmpty: Bool { ids.isEmpty }
    var all: [HTTP2Stream] { streams }

    subscript(id: Int32) -> HTTP2Stream? {
        ids.firstIndex(of: id).map { streams[$0] }
    }

    mutating func insert(_ stream: HTTP2Stream) {
        ids.append(stream.id)
        streams.append(stream)
    }

    mutating func remove(_ id: Int32) {
        guard let index = ids.firstIndex(of: id) else { return }
        // The last one takes the free place.
        ids[index] = ids[ids.count - 1]
        ids.removeLast()
        streams.swapAt(index, streams.count - 1)
        streams.removeLast()
        // An idle connection owns no rows.
        if ids.isEmpty { self = HTTP2StreamTable() }
    }
}
