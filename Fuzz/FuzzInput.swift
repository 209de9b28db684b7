// Keyvane
// SPDX-License-Identifier: Apache-2.0

/// What the fuzz targets share: an input's first two bytes choose the parser's settings and the place of the cut, the rest is
/// what a peer sent. `scripts/fuzz` compiles each target with this file and all of Wire into one module, so `internal` is enough.
struct FuzzInput {
    let settings: UInt8
    let bytes: [UInt8]
    let cut: Int

    init?(_ start: UnsafePointer<UInt8>?, _ count: Int) {
        guard let start, count >= 2 else { return nil }
        let all = UnsafeBufferPointer(start: start, count: count)
        settings = all[0]
        bytes = Array(all[2...])
        cut = bytes.count * Int(all[1]) / 255
    }

    /// As a whole, cut in two, and (short inputs) byte by byte: the results must be one and the same.
    var plans: [[Int]] {
        var plans = [[bytes.count], [cut, bytes.count]]
        if !bytes.isEmpty, bytes.count <= 512 { plans.append(Array(1...bytes.count)) }
        return plans
    }

    func same<Result: Equatable>(_ what: String, _ feed: ([Int]) -> Result) -> Result {
        let results = plans.map(feed)
        for (plan, result) in zip(plans, results) {
            check(result == results[0], "\(what): cut at \(plan) gives \(result), as a whole \(results[0])")
        }
        return results[0]
    }
}

/// libFuzzer takes a trap for a finding and keeps the input.
func check(_ condition: Bool, _ finding: @autoclosure () -> String) {
    if !condition { fatalError(finding()) }
}
