// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Hummingbird

/// What travels with a request through the middleware: Hummingbird's own part, the id under which this request is found in every log, and the
/// address at the other end of its connection.
struct APIContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    var requestID = ""
    let peer: String?

    init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        peer = source.channel.remoteAddress?.ipAddress
    }
}
