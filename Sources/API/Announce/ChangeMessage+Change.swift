// Keyvane
// SPDX-License-Identifier: Apache-2.0

package import Notifier
package import Store

extension ChangeMessage {
    /// What travels for one row of the log. A secret's value stays sealed.
    package init(_ change: Change) {
        self.init(
            environmentID: change.environmentID.lowercased,
            name: change.name,
            value: change.value?.text,
            isSecret: change.kind == .secret,
            operation: change.op == .set ? .set : .delete,
            revision: change.revision,
            version: change.version,
            first: change.first,
            last: change.last,
            mark: change.mark,
            at: change.at.description,
            by: change.by
        )
    }
}
