// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A pool's own HTML for the balancer's answers, by status. Read when the settings are adopted; immutable.
struct ErrorPages: Sendable {
    static let none = ErrorPages()

    /// The statuses of the balancer's answers that a pool may have a page for.
    static let statuses: Set<Int> = [400, 403, 408, 413, 429, 431, 500, 502, 503, 504]
    static let rule = "there are pages for \(statuses.sorted().map { "\($0)" }.joined(separator: ", "))"
    static let largest = 256 * 1024

    private var html: [Int: [UInt8]] = [:]

    private init() {}

    init(loading paths: [Int: String], pool: String) throws(BalancerError) {
        for (status, path) in paths {
            let key = "pools.\(pool).error_pages.\(status)"
            guard Self.statuses.contains(status) else {
                throw .init(.configurationInvalid, "\(key): \(Self.rule)")
            }
            guard let page = Self.read(path) else {
                throw .init(.configurationInvalid, "\(key): '\(path)' can't be read, is empty or larger than 256 KiB")
            }
            html[status] = page
        }
    }

    func page(_ status: Int) -> [UInt8]? { html[status] }

    private static func read(_ path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var page: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16 * 1024)
        while page.count <= largest {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            guard count > 0 else { return count == 0 && !page.isEmpty ? page : nil }
            page.append(contentsOf: buffer[..<count])
        }
        return nil
    }
}
