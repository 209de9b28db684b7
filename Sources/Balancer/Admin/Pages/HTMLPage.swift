// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Crypto
import Wire

// Pages: what browsers of operators get.
// Flows through: a `StatusReport` -> one page's content -> `HTMLPage`, which puts frame and stylesheet around it.
// Owner: nobody; a page is text, made when it is asked for.
// Must hold: no script at all, and a policy that forbids any; every text that isn't a literal goes through `HTMLText.escaped`;
//   a state is told by a word, not by its colour alone.

/// One whole page.
struct HTMLPage {
    enum Place: CaseIterable {
        case stats, manager, status

        var link: (path: String, title: String) {
            switch self {
            case .stats: ("/stats", "Statistics")
            case .manager: ("/balancer-manager", "Manager")
            case .status: ("/server-status", "Process")
            }
        }
    }

    let text: String

    /// `content` is HTML, and so its maker's to escape; `title` is text.
    init(title: String, current: Place?, refresh: Int? = nil, note: String = "", content: String) {
        let links = Place.allCases.map { place in
            let (path, name) = place.link
            return "<a href=\"\(path)\"\(place == current ? " aria-current=\"page\"" : "")>\(name)</a>"
        }
        let again = refresh.map { "<meta http-equiv=\"refresh\" content=\"\($0)\">\n" } ?? ""
        text = """
            <!doctype html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="color-scheme" content="light dark">
            \(again)<title>\(HTMLText.escaped(title))</title>
            <style>\(Stylesheet.text)</style>
            </head>
            <body>
            <a class="skip" href="#content">Skip to the content</a>
            <header><span class="brand">Load balancer</span><nav aria-label="Pages">\(links.joined())<a href="/metrics">Metrics</a></nav><span class="note">\(note)</span></header>
            <main id="content" tabindex="-1">
            <h1>\(HTMLText.escaped(title))</h1>
            \(content)
            </main>
            </body>
            </html>

            """
    }

    /// The stylesheet alone, by its hash; forms to ourselves. Nothing else, from nowhere.
    static let policy: String = {
        let digest = ByteText.base64(Array(SHA256.hash(data: Array(Stylesheet.text.utf8))))
        return "default-src 'none'; style-src 'sha256-\(digest)'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    }()

    // MARK: Parts

    /// Figures at a glance.
    static func cards(_ cards: [(label: String, value: String, detail: String)]) -> String {
        let items = cards.map { card in
            let detail = card.detail.isEmpty ? "" : "<dd class=\"detail\">\(card.detail)</dd>"
            return "<div class=\"card\"><dt>\(card.label)</dt><dd>\(card.value)</dd>\(detail)</div>"
        }
        return "<dl class=\"cards\">\(items.joined())</dl>"
    }

    /// A state by word and colour.
    static func badge(_ server: ServerStatus) -> String {
        "<span class=\"badge \(server.standing.tone)\">\(server.standing.word)</span>"
    }

    /// Below a server's name. The path of a Unix socket may go on in the next line behind a slash; every other address is one word.
    static func address(_ server: ServerStatus) -> String {
        "<small class=\"address\">\(HTMLText.escaped(server.address).replacing("/", with: "/<wbr>"))</small>"
    }

    static func usable(_ pool: StatusReport.Pool) -> String {
        let (up, all) = (pool.usable, pool.servers.count)
        let tone = up == 0 ? "bad" : up < all ? "warn" : "good"
        let panic = pool.status.isPanicking ? " <span class=\"badge bad\">Panic: all are used</span>" : ""
        return "<span class=\"badge \(tone)\">\(up) of \(all) usable</span>\(panic)"
    }
}

extension ServerStanding {
    var word: String {
        switch self {
        case .up: "Up"
        case .drain: "Drain"
        case .drained: "Drained"
        case .draining: "Leaving"
        case .down: "Down"
        case .ejected: "Ejected"
        case .maint: "Maintenance"
        }
    }

    /// A class of the stylesheet.
    var tone: String {
        switch self {
        case .up: "good"
        case .drain, .drained, .draining: "warn"
        case .down, .ejected: "bad"
        case .maint: "idle"
        }
    }
}
