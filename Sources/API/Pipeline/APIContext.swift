// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Hummingbird

/// What travels with a request through the middleware: Hummingbird's own part and the id under which this request is found in every log.
struct APIContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    var requestID = ""

    init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
    }
}
