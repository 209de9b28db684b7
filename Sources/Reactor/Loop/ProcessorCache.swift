// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CUV

/// For loops over many objects with long system calls in between, which push everything else out of the processor's caches.
package enum ProcessorCache {
    /// Has the object's first bytes fetched while the caller goes on; nothing is read and nothing retained.
    package static func prefetch(_ object: Unmanaged<some AnyObject>) {
        cuv_prefetch(object.toOpaque())
    }
}
