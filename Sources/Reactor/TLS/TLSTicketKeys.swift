// Keyvane
// SPDX-License-Identifier: Apache-2.0

import COpenSSL
import CUV
import Glibc
import Synchronization

/// The keys of session tickets: all that resumption needs, so that it works over all loops and outlives a change of certificates, and the
/// sessions themselves stay with the clients. Guarded by its mutex.
///
/// A key signs for two hours, a ticket's lifetime, and verifies for two more; a key that is gone can't open recorded traffic.
package final class TLSTicketKeys: Sendable {
    static let lifetime: UInt64 = 2 * 3600

    private struct Key {
        let name: [UInt8]
        /// Of the cipher and of the MAC.
        let secret: [UInt8]
        let made: UInt64
    }

    /// The first one signs.
    private let keys = Mutex<[Key]>([])

    package init() {}

    /// OpenSSL's callback: fills `name` and `iv` of a new ticket, or finds the key of one that came.
    func protect(
        name: UnsafeMutablePointer<UInt8>,
        iv: UnsafeMutablePointer<UInt8>,
        _ cipher: OpaquePointer?,
        _ mac: OpaquePointer?,
        encrypts: Bool
    ) -> Int32 {
        let now = Self.seconds()
        return keys.withLock { keys in
            if encrypts { Self.renew(&keys, at: now) }
            let given = UnsafeBufferPointer(start: name, count: 16)
            guard let index = encrypts ? 0 : keys.firstIndex(where: { $0.name.elementsEqual(given) }), index < keys.count,
                now - keys[index].made < 2 * Self.lifetime
            else { return encrypts ? -1 : 0 }
            if encrypts {
                guard RAND_bytes(iv, 16) == 1 else { return -1 }
                _ = UnsafeMutableBufferPointer(start: name, count: 16).update(fromContentsOf: keys[0].name)
            }
            guard cssl_protect_ticket(cipher, mac, keys[index].secret, iv, encrypts ? 1 : 0) == 1 else { return -1 }
            // 2: valid, but of a key that signs no more; the client is given a new ticket.
            return index == 0 ? 1 : 2
        }
    }

    private static func renew(_ keys: inout [Key], at now: UInt64) {
        if let newest = keys.first, now - newest.made < lifetime { return }
        var random = [UInt8](repeating: 0, count: 80)
        guard RAND_bytes(&random, Int32(random.count)) == 1 else { return }
        keys.removeAll { now - $0.made >= 2 * lifetime }
        keys.insert(Key(name: Array(random[..<16]), secret: Array(random[16...]), made: now), at: 0)
    }

    private static func seconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec)
    }
}
