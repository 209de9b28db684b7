// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Glibc
import TestSupport
import Testing

extension ClusterSuite {
    /// Whatever is thrown at the open port is answered as documented, and every process lives on.
    @Suite struct BadInputTests {
        @Test func everyKindOfBadInputGetsItsErrorAndNothingIsStored() async throws {
            try await withCluster { cluster in
                _ = try await cluster.createEnvironment()
                try await cluster.put("KEPT", "as it was")
                let before = try cluster.state
                try await badREST(cluster)
                try await badBytes(cluster)
                try await badFrames(cluster)
                let configuration = try await cluster.rest.call("GET", "\(Cluster.restPath)/configuration")
                #expect(configuration.text.contains("\"revision\":1"))
                #expect(configuration.text.contains("as it was"))
                let after = try cluster.state
                #expect(after.apis.map(\.pid) == before.apis.map(\.pid))
                #expect(after.gateways.map(\.pid) == before.gateways.map(\.pid))
                #expect(after.balancer.pid == before.balancer.pid)
            }
        }

        private func badREST(_ cluster: Cluster) async throws {
            let variable = "\(Cluster.restPath)/variables/BAD"
            let cases: [(method: String, path: String, body: String, status: Int, mention: String)] = [
                ("PUT", variable, "{\"value\":", 400, "JSON"),
                ("PUT", variable, "{\"value\":\"x\",\"colour\":\"red\"}", 422, "colour"),
                ("PUT", variable, "{\"value\":\"\(String(repeating: "x", count: 70_000))\"}", 422, "value"),
                ("PUT", variable, "{\"value\":\"a\\u0000b\"}", 422, "value"),
                ("PUT", variable, "{\"value\":5}", 422, "value"),
                ("PUT", variable, "{}", 422, "value"),
                ("PUT", "\(Cluster.restPath)/variables/1BAD", "{\"value\":\"x\"}", 422, "name"),
                ("POST", "/v1/workspaces", "{\"slug\":\"No Such Slug\"}", 422, "slug"),
                ("POST", "/v1/workspaces", "{\"slug\":\"acme\"}", 409, "acme"),
                (
                    "PATCH", "\(Cluster.restPath)/configuration",
                    "{\"set\":[{\"name\":\"A\",\"value\":\"1\"},{\"name\":\"B C\",\"value\":\"2\"}]}", 422, "name"
                ),
                ("PUT", "/v1/projects/acme/web/environments/nowhere/variables/A", "{\"value\":\"x\"}", 404, "not_found"),
                ("PUT", variable, "{\"value\":\"\(String(repeating: "x", count: 1_100_000))\"}", 413, "too_large"),
            ]
            for item in cases {
                let answer = try await cluster.rest.call(item.method, item.path, body: item.body)
                #expect(answer.status == item.status, "\(item.method) \(item.path) \(item.body.prefix(80)): \(answer.text.prefix(300))")
                #expect(answer.text.contains(item.mention), "\(item.body.prefix(80)): \(answer.text.prefix(300))")
                #expect(answer.fields["content-type"]?.hasPrefix("application/problem+json") == true)
            }
            var stranger = try cluster.rest
            stranger.token = "kv_00000000_\(String(repeating: "A", count: 43))"
            let refused = try await stranger.call("PUT", variable, body: "{\"value\":\"x\"}")
            #expect(refused.status == 401)
            stranger.token = nil
            let anonymous = try await stranger.call("GET", variable)
            #expect(anonymous.status == 401)
        }

        /// To the balancer's port, and to an API's and a gateway's own.
        private func badBytes(_ cluster: Cluster) async throws {
            let state = try cluster.state
            let ports = [try cluster.rest.port, state.apis[0].port, state.gateways[0].port]
            let garbage: [UInt8] = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03, 0x0d, 0x0a, 0x0d, 0x0a]
            for port in ports {
                let socket = try RawSocket(port: port)
                socket.write(garbage)
                socket.finishSending()
                let bytes = await socket.readToEnd()
                #expect(bytes.isEmpty || PlainAnswer(bytes)?.status == 400, "port \(port)")
            }
            for port in [ports[0], ports[2]] {
                let socket = try RawSocket(port: port)
                socket.write("GET /v1/watch HTTP/1.1\r\nHost: x\r\nX-Filler: ")
                // The answer may come, and the connection go, before all of it is taken.
                socket.write(String(repeating: "a", count: 100 * 1024))
                let answer = PlainAnswer(await socket.readToEnd())
                #expect(answer?.status == 431, "port \(port)")
            }
        }

        /// Of a close frame at the very end: 0x88, length, code, reason.
        private func closeCode(_ bytes: [UInt8]) -> Int? {
            bytes.indices.dropLast(3).last { bytes[$0] == 0x88 && Int(bytes[$0 + 1]) == bytes.count - $0 - 2 }.map {
                Int(bytes[$0 + 2]) << 8 | Int(bytes[$0 + 3])
            }
        }

        private func badFrames(_ cluster: Cluster) async throws {
            let token = try cluster.state.token
            let text = Array("hi".utf8)
            let mask: [UInt8] = [1, 2, 3, 4]
            func masked(_ payload: [UInt8]) -> [UInt8] { mask + payload.enumerated().map { $1 ^ mask[$0 % 4] } }
            let cases: [(name: String, frame: [UInt8], code: Int)] = [
                ("unmasked", [0x81, 0x02] + text, 1002),
                ("oversized", [0x81, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 0], 1009),
                ("no UTF-8", [0x81, 0x82] + masked([0xff, 0xfe]), 1007),
                ("reserved opcode", [0x83, 0x82] + masked(text), 1002),
                ("no JSON", [0x81, 0x82] + masked(text), 4400),
            ]
            for item in cases {
                let socket = try RawSocket(port: try cluster.rest.port)
                socket.write(
                    "GET /v1/watch HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                        + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer \(token)\r\n\r\n"
                )
                // The answer's head and the `ready` frame come before anything is sent.
                var received = socket.read()
                while received.count < 200, !received.isEmpty {
                    let more = socket.read()
                    if more.isEmpty { break }
                    received += more
                }
                #expect(String(decoding: received, as: UTF8.self).hasPrefix("HTTP/1.1 101"), "\(item.name)")
                socket.write(item.frame)
                var code = closeCode(received)
                while code == nil {
                    let more = socket.read()
                    if more.isEmpty { break }
                    received += more
                    code = closeCode(received)
                }
                #expect(code == item.code, "\(item.name)")
            }
        }
    }
}
