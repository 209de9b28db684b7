// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Store

/// `{"description"?,"grants":[…],"expiresAt"?}`, judged against what its maker may give away.
struct TokenBody {
    /// Every request of the token reads them all.
    private static let maximumGrants = 100

    let description: String
    let grants: [Grant]
    let expiresAt: Date?

    init(_ json: JSONValue, maker: TokenRecord, now: Date) throws(Problem) {
        var body = ObjectReader(json, fields: ["description", "grants", "expiresAt"])
        description = body.optionalText("description", .remark) ?? ""
        let read = Self.grants(&body)
        if !body.contains("grants") { body.refuse("grants", "is missing") }
        let faulty = body.faults.count
        let expiry = Self.expiry(&body, now)
        if body.faults.count == faulty || !body.contains("expiresAt") { Self.requireMortal(&body, expiry, maker) }
        expiresAt = expiry
        try body.check()
        grants = read
        try Self.requireGrantable(grants, maker)
    }

    /// 1 to 100 of them, where the field is there.
    static func grants(_ body: inout ObjectReader) -> [Grant] {
        let grants = body.objects("grants", fields: ["workspace", "project", "environment", "names", "permissions"]) { grant(&$0) }
        if body.contains("grants"), body.faults.isEmpty, grants.isEmpty || grants.count > maximumGrants {
            body.refuse("grants", "must hold 1 to \(maximumGrants) grants")
        }
        return grants
    }

    private static func grant(_ item: inout ObjectReader) -> Grant {
        let names = item.contains("names") ? item.texts("names", .any) : nil
        let permissions = item.texts("permissions", .permission).compactMap { Permission(rawValue: $0) }
        let grant = Grant(
            workspace: item.text("workspace", .any),
            project: item.optionalText("project", .any),
            environment: item.optionalText("environment", .any),
            names: names,
            permissions: Set(permissions)
        )
        if let names, names.isEmpty || names.count > maximumGrants {
            item.refuse("names", "must hold 1 to \(maximumGrants) patterns; leave it out for all names")
        }
        // The store judges a grant as a whole; with the wrong types in it there would be nothing right to judge.
        if item.faults.isEmpty {
            do throws(StoreError) {
                try grant.validate()
            } catch {
                item.refuse(below: error.field ?? "workspace", error.message)
            }
        }
        return grant
    }

    /// Nil for none, or where it can't be read or has passed, which is refused.
    static func expiry(_ body: inout ObjectReader, _ now: Date) -> Date? {
        guard let text = body.optionalText("expiresAt", .any) else { return nil }
        guard let expiry = Timestamp.date(text) else {
            body.refuse("expiresAt", "must be a time such as 2030-01-31T12:00:00Z")
            return nil
        }
        if expiry <= now { body.refuse("expiresAt", "is in the past") }
        return expiry
    }

    /// Otherwise a token could outlive itself through another one. Nil is for ever.
    static func requireMortal(_ body: inout ObjectReader, _ expiry: Date?, _ maker: TokenRecord) {
        guard let limit = maker.expiresAt, (expiry ?? .distantFuture) > limit else { return }
        body.refuse("expiresAt", "must not be later than the expiry of the token that makes it, \(Timestamp(limit))")
    }

    /// The last question, about a body that is right in itself: 403, not 422.
    static func requireGrantable(_ grants: [Grant], _ maker: TokenRecord) throws(Problem) {
        let refused = grants.indices.filter { !maker.mayGrant(grants[$0]) }
        if refused.isEmpty { return }
        throw Problem(.notGranted, "Nobody can grant more than he has, or where he is not `admin`.").with { problem in
            problem.faults = refused.map { FieldFault("/grants/\($0)", "goes beyond this token's own grants") }
        }
    }
}

extension TextRule {
    fileprivate static let permission = TextRule { text throws(StoreError) in
        if Permission(rawValue: text) != nil { return text }
        let allowed = Permission.allCases.map(\.rawValue).joined(separator: ", ")
        throw StoreError(.invalid, "it must be one of \(allowed)")
    }
}

extension Timestamp {
    /// RFC 3339, with or without a fraction; nil for anything else.
    fileprivate static func date(_ text: String) -> Date? {
        if let date = try? Date.ISO8601FormatStyle().parse(text) { return date }
        return try? Date.ISO8601FormatStyle(includingFractionalSeconds: true).parse(text)
    }
}
