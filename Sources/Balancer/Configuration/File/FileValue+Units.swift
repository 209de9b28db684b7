// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor

/// Values with units, and those of networks.
extension FileValue {
    /// `500ms`, `10s`, `5m`, `1h`, `30d`. A number alone is refused: to some people it is seconds, to others milliseconds.
    func duration() -> Duration? {
        guard let text = text("a duration such as 10s") else { return nil }
        if text == "0" { return .zero }
        let units: [(suffix: String, milliseconds: Double)] = [
            ("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000),
        ]
        for unit in units where text.hasSuffix(unit.suffix) {
            guard let number = Self.decimal(text.dropLast(unit.suffix.count)), number * unit.milliseconds <= 10 * 365 * 86_400_000
            else { continue }
            return .milliseconds(Int64((number * unit.milliseconds).rounded()))
        }
        fault("'\(text)' is no duration: write 500ms, 10s, 5m, 1h or 30d")
        return nil
    }

    /// Bytes: `32KiB`, `1MiB`, `64KB`, `4096`.
    func size() -> Int? {
        guard let text = text("a size such as 32KiB") else { return nil }
        let units: [(suffix: String, bytes: Double)] = [
            ("KiB", 1024), ("MiB", 1_048_576), ("GiB", 1_073_741_824), ("KB", 1000), ("MB", 1e6), ("GB", 1e9), ("B", 1), ("", 1),
        ]
        for unit in units where text.hasSuffix(unit.suffix) {
            guard let number = Self.decimal(text.dropLast(unit.suffix.count)), number * unit.bytes <= 1e12 else { continue }
            return Int(number * unit.bytes)
        }
        fault("'\(text)' is no size: write 4096, 32KiB or 1MiB")
        return nil
    }

    /// In a second: `500/s`, `30/m`, `1000/h`.
    func rate() -> Double? {
        guard let text = text("a rate such as 100/s") else { return nil }
        for (suffix, seconds) in [("/s", 1.0), ("/m", 60), ("/h", 3600)] where text.hasSuffix(suffix) {
            guard let number = Self.decimal(text.dropLast(2)), number > 0, number <= 1e9 else { continue }
            return number / seconds
        }
        fault("'\(text)' is no rate: write 500/s, 30/m or 1000/h, above 0")
        return nil
    }

    /// Digits with or without a point; no sign, no exponent, no hexadecimal.
    private static func decimal(_ text: Substring) -> Double? {
        guard text.utf8.first.map({ $0 &- 0x30 < 10 }) == true, text.utf8.allSatisfy({ $0 &- 0x30 < 10 || $0 == 0x2E }) else { return nil }
        return Double(text)
    }

    func endpoint() -> Endpoint? {
        guard let text = text("an address such as 0.0.0.0:80") else { return nil }
        do throws(ReactorError) {
            return try Endpoint(parsing: text)
        } catch {
            fault(error.message)
            return nil
        }
    }

    func addressRange() -> AddressRange? {
        guard let text = text("an address range such as 10.0.0.0/8") else { return nil }
        do throws(BalancerError) {
            return try AddressRange(parsing: text)
        } catch {
            fault(error.message)
            return nil
        }
    }

    /// `query(environment)`, `header(X-Tenant)`, `cookie(session)`, `uri`, `path`, `ip`.
    func hashKey() -> HashKey? {
        guard let text = text("what is hashed, such as query(environment)") else { return nil }
        switch text {
        case "uri": return .uri
        case "path": return .path
        case "ip": return .ip
        case _:
            if text.hasSuffix(")"), let open = text.firstIndex(of: "(") {
                let name = String(text[text.index(after: open)...].dropLast())
                switch text[..<open] {
                case "query": return .query(name)
                case "header": return .header(name)
                case "cookie": return .cookie(name)
                case _: break
                }
            }
            fault("'\(text)' can't be hashed: write uri, path, ip, query(NAME), header(NAME) or cookie(NAME)")
            return nil
        }
    }
}
