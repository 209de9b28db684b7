// Keyvane
// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird
import NIOCore
import Store

extension Response {
    static func json(
        _ status: HTTPResponse.Status = .ok,
        headers: HTTPFields = [:],
        capacity: Int = 512,
        _ write: (inout JSONWriter) -> Void
    ) -> Response {
        var writer = JSONWriter(capacity: capacity)
        writer.object(write)
        var headers = headers
        headers[.contentType] = "application/json"
        return Response(status: status, headers: headers, body: .init(byteBuffer: writer.buffer))
    }

    /// A bare array of objects, as others' clients expect it.
    static func array<Item>(_ items: [Item], headers: HTTPFields, _ write: (inout JSONWriter, Item) -> Void) -> Response {
        var writer = JSONWriter(capacity: 128 + items.count * 128)
        writer.array(items) { array, item in array.object { write(&$0, item) } }
        var headers = headers
        headers[.contentType] = "application/json"
        return Response(status: .ok, headers: headers, body: .init(byteBuffer: writer.buffer))
    }

    /// A configuration in another form than JSON.
    static func document(_ bytes: [UInt8], _ format: ConfigurationFormat, headers: HTTPFields) -> Response {
        var headers = headers
        headers[.contentType] = format.contentType
        return Response(status: .ok, headers: headers, body: .init(byteBuffer: ByteBuffer(bytes: bytes)))
    }

    /// `{"items":[…],"nextCursor":…}`; the cursor is null on the last page.
    static func list<Item>(
        _ items: [Item],
        nextCursor: String?,
        headers: HTTPFields = [:],
        _ write: (inout JSONWriter, Item) -> Void
    ) -> Response {
        json(headers: headers, capacity: 128 + items.count * 256) { list in
            list.member("items", array: items) { array, item in
                array.object { write(&$0, item) }
            }
            list.member("nextCursor", nextCursor)
        }
    }
}

extension HTTPFields {
    /// For answers that hold configuration: they depend on the token, and only the caller may keep them.
    static let configuration: HTTPFields = [.cacheControl: "private", .vary: "Authorization"]

    /// An entry's version, or a configuration's revision.
    func tagged(_ number: Int64) -> HTTPFields {
        var fields = self
        fields[.eTag] = EntityTagList.tag(number)
        return fields
    }

    /// A workspace's, a project's, an environment's or a token's tag.
    func tagged(_ tag: String) -> HTTPFields {
        var fields = self
        fields[.eTag] = "\"\(tag)\""
        return fields
    }

    /// Of a mutation's answer.
    func at(revision: Int64) -> HTTPFields {
        var fields = self
        fields[.keyvaneRevision] = String(revision)
        return fields
    }
}
