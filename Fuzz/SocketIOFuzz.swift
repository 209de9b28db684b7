// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// Packets of a hostile Socket.IO client. Holds: what was read, written anew, is read as the same; the parts of a packet follow each
/// other and end where the bytes end; limits are kept.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzSocketIO(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let input = FuzzInput(start, count) else { return 0 }
    guard let packet = read(input.bytes) else { return 0 }
    let again = read(packet.written)
    check(again?.kind == packet.kind && again?.parts == packet.parts, "written anew, \(packet) is \(String(describing: again))")
    return 0
}

private struct ReadPacket {
    var kind: EngineIOPacket.Kind
    var parts: [[UInt8]]
    /// Without the frame's header.
    var written: [UInt8]
}

private func read(_ bytes: [UInt8]) -> ReadPacket? {
    do throws(SocketIOFault) {
        let bytes = bytes.span
        let outer = try EngineIOPacket(parsing: bytes)
        check(outer.payload == 1..<bytes.count, "the payload is \(outer.payload)")
        var frame: [UInt8] = []
        guard outer.kind == .message else {
            let payload = bytes.array(outer.payload)
            SocketIOFrame.append(outer.kind, payload: payload, to: &frame)
            return ReadPacket(kind: outer.kind, parts: [payload], written: content(of: frame))
        }
        let packet = try SocketIOPacket(parsing: outer.payload, in: bytes)
        check(packet.json.upperBound == bytes.count, "the JSON is \(packet.json)")
        let namespace = packet.namespace.map { bytes.array($0) } ?? [UInt8(ascii: "/")]
        check(namespace.first == UInt8(ascii: "/") && namespace.count <= SocketIOPacket.namespaceLimit, "the namespace is \(namespace)")
        check(packet.ackID.map { (0...999_999_999_999_999).contains($0) } ?? true, "the id is \(packet.ackID ?? 0)")
        let json = bytes.array(packet.json)
        let parts = [[packet.kind.rawValue], namespace, [UInt8]("\(packet.ackID ?? -1)".utf8), json]
        // A namespace is bytes here and text there, so only what is UTF-8 can be the same.
        guard let name = String(validating: namespace, as: UTF8.self) else { return nil }
        SocketIOFrame.append(packet.kind, namespace: name, ackID: packet.ackID, json: json, to: &frame)
        return ReadPacket(kind: outer.kind, parts: parts, written: content(of: frame))
    } catch {
        return nil
    }
}

private func content(of frame: [UInt8]) -> [UInt8] {
    // Of all lengths of a header, the one that leaves the payload it announces.
    for length in [2, 4, 10] where length <= frame.count && WebSocketFrame.headerLength(payload: frame.count - length) == length {
        return Array(frame[length...])
    }
    return []
}
