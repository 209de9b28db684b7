// Keyvane
// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird
import NIOCore

// The web console: plain files in Assets/, part of the executable, which stays a single file. A browser gets them from any API and talks to
// `/v1` like every other client, so nothing here knows of tokens, entries or the store.
// Must hold: it is open to everybody, so it holds nothing of an installation; the policy lets the page run and load only what came from
// here, so a value that somebody stored can never become a script.

/// `/console` and what the page loads.
struct ConsoleRoutes: Sendable {
    var routes: [APIRoute] {
        [
            .open(.get, "/console") { request, _ in try Self.answer(ConsoleAssets.page, to: request) },
            .open(.get, "/console/{folder}/{file}") { request, context in
                let path = "\(context.parameters.get("folder") ?? "")/\(context.parameters.get("file") ?? "")"
                guard let asset = ConsoleAssets.files[path] else { throw Problem.notFound }
                return try Self.answer(asset, to: request)
            },
        ]
    }

    private static func answer(_ asset: ConsoleAsset, to request: Request) throws(Problem) -> Response {
        var headers = protection.tagged(asset.tag)
        headers[.contentType] = asset.contentType
        // Browsers that know the file of one build ask whether it is that of the next.
        headers[.cacheControl] = "no-cache"
        if let seen = try EntityTagList(.ifNoneMatch, of: request), seen.contains(asset.tag) {
            return Response(status: .notModified, headers: headers)
        }
        return Response(status: .ok, headers: headers, body: .init(byteBuffer: asset.body))
    }

    /// `connect-src 'self'` covers the WebSocket of the same host.
    private static let protection: HTTPFields = {
        var headers: HTTPFields = [
            .contentSecurityPolicy: [
                "default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src 'self' data:",
                "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'",
            ].joined(separator: "; "),
            .xContentTypeOptions: "nosniff",
        ]
        headers[.referrerPolicy] = "no-referrer"
        headers[.crossOriginOpenerPolicy] = "same-origin"
        headers[.crossOriginResourcePolicy] = "same-origin"
        return headers
    }()
}
