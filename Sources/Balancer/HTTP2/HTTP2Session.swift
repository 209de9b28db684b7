// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CNghttp2
import Wire

/// The frame types of RFC 9113 that somebody here asks for.
enum HTTP2FrameType {
    static let data: UInt8 = 0
    static let headers: UInt8 = 1
    static let priority: UInt8 = 2
    static let reset: UInt8 = 3
    static let settings: UInt8 = 4
    static let ping: UInt8 = 6
    static let windowUpdate: UInt8 = 8
    static let continuation: UInt8 = 9
}

enum HTTP2ErrorCode: UInt32 {
    case noError = 0
    case protocolError = 1
    case internalError = 2
    case flowControl = 3
    case streamClosed = 5
    case frameSize = 6
    case refusedStream = 7
    case cancel = 8
    case enhanceYourCalm = 11
}

/// What a stream has to send next.
enum HTTP2DataOffer {
    case later
    case bytes(Int)
    /// These end the stream.
    case last(Int)
    /// These end the body; trailers, which have been submitted, end the stream.
    case lastBeforeTrailers(Int)
    /// What was sent is not all, and there won't be more.
    case failed
}

/// Frames on their way out while `produce` runs.
struct HTTP2Outgoing {
    var bytes: [UInt8] = []
    fileprivate(set) var isFull = false

    /// A write's worth of frames: more waits for the kernel, not for memory.
    static let limit = 128 << 10

    mutating func take() -> [UInt8] {
        let taken = bytes
        bytes = []
        return taken
    }
}

/// One nghttp2 server session; owned by its connection and confined to its loop. The library's pointers never leave this file.
///
/// The library tells the connection what comes and goes (`HTTP2Connection+Events`) in the middle of `receive` and `produce`: there it may
/// submit, but not call those two.
final class HTTP2Session {
    enum ReceiveFailure {
        case notHTTP2, flooded, broken
    }

    private let handle: OpaquePointer
    private let library: HTTP2Library

    init(_ library: HTTP2Library, of connection: HTTP2Connection) {
        self.library = library
        var handle: OpaquePointer?
        guard nghttp2_session_server_new2(&handle, library.callbacks, nil, library.option) == 0, let handle else {
            preconditionFailure("nghttp2 has no memory for a session")
        }
        self.handle = handle
        // Unretained: the library calls back only within the calls below, which are the connection's own.
        nghttp2_session_set_user_data(handle, Unmanaged.passUnretained(connection).toOpaque())
    }

    deinit {
        nghttp2_session_del(handle)
    }

    // MARK: Bytes

    func receive(_ bytes: Span<UInt8>) -> ReceiveFailure? {
        let result = bytes.withUnsafeBufferPointer { nghttp2_session_mem_recv(handle, $0.baseAddress, $0.count) }
        switch Int32(truncatingIfNeeded: result) {
        case 0...: return nil
        case NGHTTP2_ERR_BAD_CLIENT_MAGIC.rawValue: return .notHTTP2
        // A failed callback, or one of the library's own limits: of acknowledgements, settings, continuations.
        case NGHTTP2_ERR_NOMEM.rawValue: return .broken
        default: return .flooded
        }
    }

    /// Appends what is to be sent to `outgoing`, up to about its limit. True where there is more.
    func produce(for connection: HTTP2Connection) -> Bool {
        connection.outgoing.isFull = false
        while connection.outgoing.bytes.count < HTTP2Outgoing.limit {
            var start: UnsafePointer<UInt8>?
            let count = nghttp2_session_mem_send(handle, &start)
            guard count > 0 else { return connection.outgoing.isFull }
            connection.outgoing.bytes.append(contentsOf: UnsafeBufferPointer(start: start, count: count))
        }
        return true
    }

    /// The session has come to its end: nothing more is to be read or sent.
    var isFinished: Bool {
        nghttp2_session_want_read(handle) == 0 && nghttp2_session_want_write(handle) == 0
    }

    // MARK: Submissions

    func submitSettings(_ limits: HTTP2Limits, headerBytes: Int) {
        let entries = [
            nghttp2_settings_entry(
                settings_id: Int32(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS.rawValue),
                value: UInt32(clamping: limits.streams)
            ),
            nghttp2_settings_entry(
                settings_id: Int32(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE.rawValue),
                value: UInt32(clamping: limits.streamWindow)
            ),
            nghttp2_settings_entry(
                settings_id: Int32(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE.rawValue),
                value: UInt32(clamping: headerBytes)
            ),
            // RFC 8441: WebSockets are opened with an extended CONNECT.
            nghttp2_settings_entry(settings_id: Int32(NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL.rawValue), value: 1),
            // RFC 9218: no tree of priorities is kept, so none can be played with.
            nghttp2_settings_entry(settings_id: Int32(NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES.rawValue), value: 1),
        ]
        _ = entries.withUnsafeBufferPointer { nghttp2_submit_settings(handle, 0, $0.baseAddress, $0.count) }
        nghttp2_session_set_local_window_size(handle, 0, 0, Int32(clamping: limits.connectionWindow))
    }

    /// The head of a response; without a body it ends the stream.
    func submit(_ head: HTTP2ResponseFields, in bytes: Span<UInt8>, stream: Int32, hasBody: Bool) {
        head.withPairs(in: bytes, &library.pairs) { start, count in
            guard hasBody else {
                nghttp2_submit_response(handle, stream, start, count, nil)
                return
            }
            var provider = nghttp2_data_provider()
            provider.read_callback = Self.offerData
            nghttp2_submit_response(handle, stream, start, count, &provider)
        }
    }

    func submitInterim(_ head: HTTP2ResponseFields, in bytes: Span<UInt8>, stream: Int32) {
        head.withPairs(in: bytes, &library.pairs) { start, count in
            nghttp2_submit_headers(handle, UInt8(NGHTTP2_FLAG_NONE.rawValue), stream, nil, start, count, nil)
        }
    }

    func submitTrailers(_ fields: HTTP2ResponseFields, in bytes: Span<UInt8>, stream: Int32) {
        fields.withPairs(in: bytes, &library.pairs) { start, count in
            nghttp2_submit_trailer(handle, stream, start, count)
        }
    }

    /// A stream that had answered `.later` has something to offer.
    func resume(stream: Int32) {
        nghttp2_session_resume_data(handle, stream)
    }

    func reset(stream: Int32, _ code: HTTP2ErrorCode) {
        nghttp2_submit_rst_stream(handle, UInt8(NGHTTP2_FLAG_NONE.rawValue), stream, code.rawValue)
    }

    /// Lets the peer send that much more, on the stream and on the connection.
    func consume(stream: Int32, _ count: Int) {
        nghttp2_session_consume(handle, stream, count)
    }

    /// The same where the stream is gone.
    func consume(_ count: Int) {
        nghttp2_session_consume_connection(handle, count)
    }

    // MARK: End

    /// "Open no more streams", with no stream refused yet: requests under way still count.
    func announceShutdown() {
        nghttp2_submit_shutdown_notice(handle)
    }

    /// From here on no new stream is taken; those that are there go on.
    func goAway() {
        let last = nghttp2_session_get_last_proc_stream_id(handle)
        nghttp2_submit_goaway(handle, UInt8(NGHTTP2_FLAG_NONE.rawValue), last, HTTP2ErrorCode.noError.rawValue, nil, 0)
    }

    /// The connection ends with this code as soon as it is sent.
    func terminate(_ code: HTTP2ErrorCode) {
        nghttp2_session_terminate_session(handle, code.rawValue)
    }
}

// MARK: Callbacks

extension HTTP2Session {
    /// Tells the connection. It lives as long as its call that the library is in, so no reference is counted.
    @inline(__always)
    @discardableResult
    private static func tell<Value>(_ context: UnsafeMutableRawPointer?, _ body: (HTTP2Connection) -> Value) -> Value? {
        guard let context else { return nil }
        return Unmanaged<HTTP2Connection>.fromOpaque(context)._withUnsafeGuaranteedRef { body($0) }
    }

    private static func endsStream(_ header: nghttp2_frame_hd) -> Bool {
        header.type <= HTTP2FrameType.headers && header.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0
    }

    private static func isRequest(_ frame: UnsafePointer<nghttp2_frame>) -> Bool {
        frame.pointee.headers.cat == NGHTTP2_HCAT_REQUEST
    }

    private static let offerData: nghttp2_data_source_read_callback = { _, stream, _, limit, flags, _, context in
        guard let flags, let offer = HTTP2Session.tell(context, { $0.offer(stream: stream, limit: limit) }) else { return -1 }
        switch offer {
        case .later:
            return Int(NGHTTP2_ERR_DEFERRED.rawValue)
        case .failed:
            // The library resets the stream with INTERNAL_ERROR.
            return Int(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue)
        case .bytes(let count):
            // They go straight from the stream's buffer behind the frame's header.
            flags.pointee |= NGHTTP2_DATA_FLAG_NO_COPY.rawValue
            return count
        case .last(let count):
            flags.pointee |= NGHTTP2_DATA_FLAG_NO_COPY.rawValue | NGHTTP2_DATA_FLAG_EOF.rawValue
            return count
        case .lastBeforeTrailers(let count):
            flags.pointee |= NGHTTP2_DATA_FLAG_NO_COPY.rawValue | NGHTTP2_DATA_FLAG_EOF.rawValue
            flags.pointee |= NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue
            return count
        }
    }

    static func install(in table: OpaquePointer) {
        installReceiving(in: table)
        installSending(in: table)
    }

    private static func installReceiving(in table: OpaquePointer) {
        nghttp2_session_callbacks_set_on_begin_frame_callback(table) { _, header, context in
            guard let header = header?.pointee else { return 0 }
            let endsStream = HTTP2Session.endsStream(header)
            let goesOn = HTTP2Session.tell(context) { $0.frameBegan(header.type, length: header.length, endsStream: endsStream) }
            return goesOn == false ? NGHTTP2_ERR_CALLBACK_FAILURE.rawValue : 0
        }
        nghttp2_session_callbacks_set_on_begin_headers_callback(table) { _, frame, context in
            guard let frame else { return 0 }
            let isRequest = HTTP2Session.isRequest(frame)
            HTTP2Session.tell(context) { $0.headersBegan(isRequest: isRequest) }
            return 0
        }
        nghttp2_session_callbacks_set_on_header_callback(table) { _, _, name, nameCount, value, valueCount, _, context in
            let name = UnsafeBufferPointer(start: name, count: nameCount)
            let value = UnsafeBufferPointer(start: value, count: valueCount)
            let goesOn = HTTP2Session.tell(context) { $0.headerField(name.span, value.span) }
            return goesOn == false ? NGHTTP2_ERR_CALLBACK_FAILURE.rawValue : 0
        }
        // Without this one such a field would be left out, and the rest taken for a request.
        nghttp2_session_callbacks_set_on_invalid_header_callback(table) { _, _, _, _, _, _, _, _ in
            NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue
        }
        nghttp2_session_callbacks_set_on_frame_recv_callback(table) { _, frame, context in
            guard let frame else { return 0 }
            let (stream, endsStream) = (frame.pointee.hd.stream_id, HTTP2Session.endsStream(frame.pointee.hd))
            switch frame.pointee.hd.type {
            case HTTP2FrameType.headers:
                let isRequest = HTTP2Session.isRequest(frame)
                HTTP2Session.tell(context) { $0.headersEnded(stream: stream, isRequest: isRequest, endsStream: endsStream) }
            case HTTP2FrameType.data:
                if endsStream { HTTP2Session.tell(context) { $0.dataEnded(stream: stream) } }
            case HTTP2FrameType.settings:
                HTTP2Session.tell(context) { $0.settingsReceived() }
            default:
                break
            }
            return 0
        }
        nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(table) { _, _, _, context in
            HTTP2Session.tell(context) { $0.invalidFrame() }
            return 0
        }
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(table) { _, _, stream, bytes, count, context in
            let bytes = UnsafeBufferPointer(start: bytes, count: count)
            HTTP2Session.tell(context) { $0.dataReceived(stream: stream, bytes.span) }
            return 0
        }
    }

    private static func installSending(in table: OpaquePointer) {
        nghttp2_session_callbacks_set_send_data_callback(table) { _, frame, header, count, _, context in
            guard let frame, let header else { return NGHTTP2_ERR_CALLBACK_FAILURE.rawValue }
            let stream = frame.pointee.hd.stream_id
            let hasRoom = HTTP2Session.tell(context) { connection in
                guard connection.outgoing.bytes.count < HTTP2Outgoing.limit else {
                    connection.outgoing.isFull = true
                    return false
                }
                connection.outgoing.bytes.append(contentsOf: UnsafeBufferPointer(start: header, count: 9))
                connection.take(stream: stream, count)
                return true
            }
            return hasRoom == true ? 0 : NGHTTP2_ERR_WOULDBLOCK.rawValue
        }
        nghttp2_session_callbacks_set_on_frame_send_callback(table) { _, frame, context in
            guard let frame else { return 0 }
            let header = frame.pointee.hd
            let error = header.type == HTTP2FrameType.reset ? frame.pointee.rst_stream.error_code : 0
            let endsStream = HTTP2Session.endsStream(header)
            HTTP2Session.tell(context) { $0.frameSent(header.type, stream: header.stream_id, endsStream: endsStream, error: error) }
            return 0
        }
        nghttp2_session_callbacks_set_on_stream_close_callback(table) { _, stream, _, context in
            HTTP2Session.tell(context) { $0.streamClosed(stream) }
            return 0
        }
    }
}
