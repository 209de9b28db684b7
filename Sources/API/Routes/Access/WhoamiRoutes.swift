// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Hummingbird

/// `/v1/whoami`: any token about itself, without its text.
struct WhoamiRoutes: Sendable {
    var routes: [APIRoute] {
        [
            .authorized(.get, "/v1/whoami") { call in
                _ = try call.query()
                return .json(headers: [.cacheControl: "no-store"]) { $0.members(call.token) }
            }
        ]
    }
}
