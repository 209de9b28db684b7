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
        // One asks for it to exist, the other for it not to (RFC 9110, section 13.2.2): no version is in an empty list.
        case (.some, .any?): return .versionIn([])
        // A list here would mean "unless it has one of these versions", which nobody needs; better no answer than a wrong one.
        case (_, .tags?):
            throw Problem(.malformedHeader, "On a change, `If-None-Match` can only be *.")
        }
    }

    /// For a mutation of a whole configuration, which always exists; its tag is the revision.
    static func configuration(_ request: Request) throws(Problem) -> Precondition {
        let ifMatch = try EntityTagList(.ifMatch, of: request)
        switch (ifMatch, try EntityTagList(.ifNoneMatch, of: request)) {
        // It exists, or the environment would have been 404 before.
        case (nil, nil), (.any?, nil): return .none
        case (.tags?, nil): return .revisionIn(ifMatch?.numbers ?? [])
        // It exists, so * can't hold: no revision is in an empty list.
        case (_, .any?): return .revisionIn([])
        case (_, .tags?):
            throw Problem(.malformedHeader, "`If-None-Match` has no meaning for a change of a configuration; use `If-Match`.")
        }
    }
}
