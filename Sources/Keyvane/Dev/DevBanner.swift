// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What `keyvane dev` prints once everything is ready: where it is, and three commands that show what it does.
struct DevBanner {
    let cluster: DevCluster
    /// How the person can call this program.
    let program: String

    func show() {
        let environment = "demo/shop/production"
        Terminal.line(
            """

            Keyvane is ready: \(cluster.url)
            Console:          \(cluster.url)/console
            Token:            \(cluster.token)

            Try it, in two more terminals:

              export KEYVANE_URL=\(cluster.url) KEYVANE_TOKEN=\(cluster.token) KEYVANE_ENVIRONMENT=\(environment)

              1. \(program) environment create \(environment) --parents
              2. \(program) run -- sh -c 'echo "GREETING is $GREETING"; exec sleep 600'
              3. \(program) set GREETING=hello

            Ctrl-C ends everything; the data stays.

            """
        )
    }
}
