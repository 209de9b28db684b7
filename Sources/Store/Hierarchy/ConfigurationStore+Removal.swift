// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Foundation
import Synchronization

extension ConfigurationStore {
    private static let removal = ReceiptStatement(
        "place_remove",
        parameters: 9,
        columns: ["r.environments"],
        status: "r.status",
        from: "keyvane.remove_place($1, $2, $3, $4, $5::boolean, $6::text[], $7::uuid, $8, $9) r"
    )

    /// Deletes a place for good, history included; its audit stays.
    /// - Parameter force: also where a workspace or a project isn't empty, with everything in it. An environment needs none.
    /// - Returns: the environments that went, for whoever must tell their watchers.
    /// - Throws: `not_found`, `precondition_failed`, `conflict` for what isn't empty.
    package func remove(_ place: Place, force: Bool = false, _ origin: MutationOrigin) async throws(StoreError) -> [UUID] {
        let receipt = try await once(origin.key, Self.removal, isSlow: true, refusal: place.refusal) { parameters in
            parameters.add(place.level)
            for slug in place.slugs { parameters.add(slug) }
            parameters.add(force)
            parameters.add(list: origin.condition)
            parameters.add(UUID())
            parameters.add(origin.actor)
            parameters.add(origin.requestID)
        }
        let environments = receipt.row.text(0).split(separator: ",").compactMap { UUID(uuidString: String($0)) }
        for id in environments { forget(environmentID: id) }
        return environments
    }

    /// Drops what is kept of an environment that has been deleted, here or by another instance.
    package func forget(environmentID: UUID) {
        keys.withLock { $0[environmentID] = nil }
        swept.withLock { $0[environmentID] = nil }
    }
}
