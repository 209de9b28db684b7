// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Reactor

/// A port that was free a moment ago.
func freePort() throws -> UInt16 {
    try ListenSocket.open(Endpoint(host: "127.0.0.1", port: 0))[0].address.port ?? 0
}
