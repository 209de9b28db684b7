// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CUV
import Glibc

/// Host names to addresses, off the loop's thread (libuv's pool), answered on the loop.
package enum Resolver {
    /// Looks `host` up; a numeric address is answered without a look-up. `done` runs later, on the loop, exactly once.
    package static func resolve(
        host: String,
        port: UInt16,
        on loop: Loop,
        _ done: @escaping (Result<[SocketAddress], ReactorError>) -> Void
    ) {
        loop.assertCurrent()
        if let address = SocketAddress(numeric: host, port: port) {
            loop.defer { done(.success([address])) }
            return
        }
        let lookup = Lookup(host: host, port: port, done: done)
        lookup.start(on: loop)
    }

    /// Owns the request from start to callback.
    private final class Lookup {
        let host: String
        let port: UInt16
        let done: (Result<[SocketAddress], ReactorError>) -> Void
        let request = UnsafeMutablePointer<uv_getaddrinfo_t>.allocate(capacity: 1)

        init(host: String, port: UInt16, done: @escaping (Result<[SocketAddress], ReactorError>) -> Void) {
            self.host = host
            self.port = port
            self.done = done
        }

        deinit { request.deallocate() }

        func start(on loop: Loop) {
            var hints = addrinfo()
            hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
            hints.ai_flags = AI_ADDRCONFIG
            request.pointee.data = Unmanaged.passRetained(self).toOpaque()
            let status = uv_getaddrinfo(
                loop.uv,
                request,
                { request, status, list in
                    defer { uv_freeaddrinfo(list) }
                    guard let data = request?.pointee.data else { return }
                    Unmanaged<Lookup>.fromOpaque(data).takeRetainedValue().finished(status, list)
                },
                host,
                String(port),
                &hints
            )
            if status != 0 {
                Unmanaged.passUnretained(self).release()
                loop.defer { self.finished(status, nil) }
            }
        }

        func finished(_ status: Int32, _ list: UnsafeMutablePointer<addrinfo>?) {
            var addresses: [SocketAddress] = []
            var node = list
            while let entry = node?.pointee {
                if let address = SocketAddress(entry.ai_addr, length: Int(entry.ai_addrlen)), !addresses.contains(address) {
                    addresses.append(address)
                }
                node = entry.ai_next
            }
            guard status == 0, !addresses.isEmpty else {
                done(.failure(ReactorError(.nameNotFound, "no address found for the name '\(host)'", errno: -status)))
                return
            }
            done(.success(addresses))
        }
    }
}
