// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Crypto
import HTTPTypes
import NIOCore

/// One file of the console, ready to be sent. Immutable, made once.
struct ConsoleAsset: Sendable {
    let contentType: String
    let body: ByteBuffer
    /// Of the content: it stays the same from one build to the next, and on every API.
    let tag: String

    fileprivate init(_ contentType: String, _ bytes: [UInt8]) {
        self.contentType = contentType
        body = ByteBuffer(bytes: bytes)
        let digest = SHA256.hash(data: bytes).prefix(12)
        tag = digest.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}

/// The files by their paths below `/console/`; the page itself has none. A test compares this list with the folder.
enum ConsoleAssets {
    static let page = ConsoleAsset("text/html; charset=utf-8", PackageResources.index_html)

    static let files: [String: ConsoleAsset] = [
        "styles/theme.css": style(PackageResources.theme_css),
        "styles/shell.css": style(PackageResources.shell_css),
        "styles/parts.css": style(PackageResources.parts_css),
        "styles/views.css": style(PackageResources.views_css),
        "app/appearance.js": script(PackageResources.appearance_js),
        "app/environment.js": script(PackageResources.environment_js),
        "app/keys.js": script(PackageResources.keys_js),
        "app/main.js": script(PackageResources.main_js),
        "app/palette.js": script(PackageResources.palette_js),
        "app/rest.js": script(PackageResources.rest_js),
        "app/router.js": script(PackageResources.router_js),
        "app/session.js": script(PackageResources.session_js),
        "app/shell.js": script(PackageResources.shell_js),
        "app/watch.js": script(PackageResources.watch_js),
        "parts/dialog.js": script(PackageResources.dialog_js),
        "parts/difference.js": script(PackageResources.difference_js),
        "parts/dom.js": script(PackageResources.dom_js),
        "parts/dotenv.js": script(PackageResources.dotenv_js),
        "parts/format.js": script(PackageResources.format_js),
        "parts/icons.js": script(PackageResources.icons_js),
        "parts/rollout.js": script(PackageResources.rollout_js),
        "parts/toast.js": script(PackageResources.toast_js),
        "views/audit.js": script(PackageResources.audit_js),
        "views/changes.js": script(PackageResources.changes_js),
        "views/conflict.js": script(PackageResources.conflict_js),
        "views/create.js": script(PackageResources.create_js),
        "views/entries.js": script(PackageResources.entries_js),
        "views/entry.js": script(PackageResources.entry_js),
        "views/history.js": script(PackageResources.history_js),
        "views/import.js": script(PackageResources.import_js),
        "views/instances.js": script(PackageResources.instances_js),
        "views/places.js": script(PackageResources.places_js),
        "views/signin.js": script(PackageResources.signin_js),
        "views/tokens.js": script(PackageResources.tokens_js),
        "views/watchers.js": script(PackageResources.watchers_js),
    ]

    private static func style(_ bytes: [UInt8]) -> ConsoleAsset { ConsoleAsset("text/css; charset=utf-8", bytes) }
    private static func script(_ bytes: [UInt8]) -> ConsoleAsset { ConsoleAsset("text/javascript; charset=utf-8", bytes) }
}
