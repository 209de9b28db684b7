// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// The configuration in force: requests ask for what may change while the API serves. Guarded by its mutex.
final class LiveConfiguration: Sendable {
    private let configuration: Mutex<APIConfiguration>

    init(_ configuration: APIConfiguration) {
        self.configuration = Mutex(configuration)
    }

    var current: APIConfiguration { configuration.withLock { $0 } }

    func adopt(_ new: APIConfiguration) {
        configuration.withLock { $0 = new }
    }
}
