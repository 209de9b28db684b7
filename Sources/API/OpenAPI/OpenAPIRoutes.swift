// Keyvane
// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird
import NIOCore

// The interface as a document. `openapi.yaml` is written by hand and becomes part of the executable, which stays a single file; it goes
// out as it is. It belongs to whoever changes a route: `OpenAPITests` compares its paths with the routes and its codes with
// `ProblemCode`, and scripts/check-openapi asks a running cluster whether every word of it is true. Must hold: it is open to everybody,
// so it holds nothing of an installation.

/// `/openapi.yaml`
struct OpenAPIRoutes: Sendable {
    private let document = ByteBuffer(bytes: PackageResources.openapi_yaml)

    var routes: [APIRoute] {
        [
            .open(.get, "/openapi.yaml") { [document] _, _ in
                // It changes with the executable: whoever keeps it asks again.
                let headers: HTTPFields = [.contentType: "application/yaml; charset=utf-8", .cacheControl: "no-cache"]
                return Response(status: .ok, headers: headers, body: .init(byteBuffer: document))
            }
        ]
    }
}
