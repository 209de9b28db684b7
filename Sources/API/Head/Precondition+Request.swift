// Keyvane
// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Hummingbird
import Store

extension Precondition {
    /// For a mutation of one entry; its tag is the version.
    static func entry(_ request: Request) throws(Problem) -> Precondition {
        let ifMatch = try EntityTagList(.ifMatch, of: request)
        switch (ifMatch, try EntityTagList(.ifNoneMatch, of: request)) {
        case (nil, nil): return .none
        case (.any?, nil): return .exists
        case (.tags?, nil): return .versionIn(ifMatch?.numbers ?? [])
        case (nil, .any?): return .absent
        // A list here would mean "unless it has one of these versions", which nobody needs; better no answer than a wrong one.
        case (_, .some):
            throw Problem(.malformedHeader, "On a change, `If-None-Match` can only be *, and not together with `If-Match`.")
        }
    }

    /// For a mutation of a whole configuration, which always exists; its tag is the revision.
    static func configuration(_ request: Request) throws(Problem) -> Precondition {
        let ifNoneMatch = try EntityTagList(.ifNoneMatch, of: request)
        // It exists, so * can't hold: no revision is in an empty list.
        if ifNoneMatch == .any { return .revisionIn([]) }
        if ifNoneMatch != nil {
            throw Problem(.malformedHeader, "`If-None-Match` has no meaning for a change of a configuration; use `If-Match`.")
        }
        switch try EntityTagList(.ifMatch, of: request) {
        // It exists, or the environment would have been 404 before.
        case nil, .any?: return .none
        case let list?: return .revisionIn(list.numbers ?? [])
        }
    }
}
