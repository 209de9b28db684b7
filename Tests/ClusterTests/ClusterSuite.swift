// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Testing

/// One cluster at a time: each is a dozen processes, and two cores carry one of them.
@Suite(.serialized) enum ClusterSuite {}
