// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Whether the change channel is subscribed: written by the subscriber's loop, read by long polls to decide how often they look themselves.
final class ChangeChannelState: Sendable {
    private let up = Atomic<Bool>(false)

    var isUp: Bool {
        get { up.load(ordering: .relaxed) }
        set { up.store(newValue, ordering: .relaxed) }
    }
}
