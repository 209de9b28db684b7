// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// What one HTTP/2 connection may have and do. Who exceeds a rate is told to calm down, and loses the connection.
package struct HTTP2Limits: Sendable, Equatable {
    /// Open at a time; the peer is told.
    package var streams = 100
    /// Bytes of a request body that may be under way: of one stream, and of all. More waits at the client.
    package var streamWindow = 128 << 10
    package var connectionWindow = 1 << 20
    /// Streams that the client resets, or makes us reset (CVE-2023-44487, CVE-2025-8671): each has cost a request.
    package var resetsPerSecond = 100
    /// SETTINGS, PING, PRIORITY. Frames of unknown types do nothing, and cost no more than their bytes.
    package var controlFramesPerSecond = 500
    /// Frames that no client has a reason to send: empty ones, illegal ones.
    package var glitchesPerSecond = 20
    /// Of one header block (CVE-2024-28182); 16 KiB of header go into each.
    package var continuations = 8
    /// Plain listeners speak HTTP/2 without being asked. No key of the configuration: for tests alone.
    package var isAssumed = false

    package init() {}
}

/// What HTTP/2 alone refuses, without an answer that has a status; the labels it is counted under.
enum HTTP2Refusal: String, CaseIterable {
    /// What came first was no preface.
    case preface = "http2_preface"
    /// A limit of `HTTP2Limits`, or one of the library's, was exceeded: the connection ends.
    case flood = "http2_flood"
    /// The stream was reset for its peer's fault.
    case protocolFault = "http2_protocol"
}

/// Counts a connection's frames against its limits. Owned by it.
struct HTTP2Budget {
    private static let windowUpdatesAtFirst = 1000
    private static let windowUpdatesAtMost = 100_000

    private let limits: HTTP2Limits
    private var resets: TokenBucket
    private var control: TokenBucket
    private var glitches: TokenBucket
    /// Each frame of ours gives its reader a reason for a few.
    private var windowUpdates = Self.windowUpdatesAtFirst
    private var continuations = 0

    init(_ limits: HTTP2Limits) {
        self.limits = limits
        resets = TokenBucket(perSecond: limits.resetsPerSecond)
        control = TokenBucket(perSecond: limits.controlFramesPerSecond)
        glitches = TokenBucket(perSecond: limits.glitchesPerSecond)
    }

    /// False where it is one too many. `now` in milliseconds.
    mutating func frameCame(_ type: UInt8, length: Int, endsStream: Bool, at now: UInt64) -> Bool {
        switch type {
        case HTTP2FrameType.data:
            return length > 0 || endsStream || glitches.take(at: now)
        case HTTP2FrameType.headers:
            continuations = 0
            return true
        case HTTP2FrameType.continuation:
            continuations += 1
            return continuations <= limits.continuations && (length > 0 || glitches.take(at: now))
        case HTTP2FrameType.reset:
            return resets.take(at: now)
        case HTTP2FrameType.windowUpdate where windowUpdates > 0:
            windowUpdates -= 1
            return true
        default:
            return control.take(at: now)
        }
    }

    mutating func dataSent() {
        windowUpdates = min(windowUpdates + 4, Self.windowUpdatesAtMost)
    }

    mutating func glitched(at now: UInt64) -> Bool {
        glitches.take(at: now)
    }

    /// The client's fault made us reset a stream.
    mutating func madeUsReset(at now: UInt64) -> Bool {
        resets.take(at: now)
    }
}
