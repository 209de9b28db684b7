// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Who is connected to an environment, and how far each of them is. Asked once a second while somebody looks.

import { environmentPath, get } from "../app/rest.js";
import { session } from "../app/session.js";
import { empty, h, replace, skeleton } from "../parts/dom.js";
import { icon } from "../parts/icons.js";
import { count } from "../parts/format.js";
import { progress } from "../parts/rollout.js";

export function watchersView(main, { model, place }) {
    const content = h("div", { class: "content" }, skeleton(6));
    let stopped = false;
    let timer = null;
    let drawn = "";
    replace(
        main,
        h(
            "div",
            { class: "view-head" },
            h(
                "div",
                {},
                h("h1", {}, "Watchers"),
                h("p", { class: "lede" }, "Connections that get every change of this environment, and the revision that each has applied."),
            ),
        ),
        content,
    );
    if (!session.can("admin", place)) {
        replace(
            content,
            empty(icon("people"), "Not for this token", "Seeing who watches needs the permission admin for this environment."),
        );
        return () => {};
    }

    async function look() {
        if (stopped) return;
        if (!document.hidden) {
            try {
                draw(await get(`${environmentPath(place)}/watchers`));
            } catch (error) {
                if (stopped) return;
                drawn = "";
                replace(
                    content,
                    empty(icon("people"), error.status === 503 ? "Nobody can tell at the moment" : "It could not be read", error.message),
                );
            }
        }
        timer = setTimeout(look, 1_000);
    }

    function draw(watchers) {
        if (stopped) return;
        const key = JSON.stringify([watchers, model.revision]);
        if (key === drawn) return;
        drawn = key;
        const head = model.revision;
        const state = progress(watchers, head);
        const behind = watchers.byRevision.filter((step) => step.revision < head).reduce((sum, step) => sum + step.watchers, 0);
        const stat = (number, label, tone = "") =>
            h("div", { class: `stat ${tone}` }, h("strong", {}, String(number)), h("span", {}, label));
        replace(
            content,
            h(
                "div",
                { class: "stats", "aria-live": "off" },
                stat(watchers.total, watchers.total === 1 ? "watcher" : "watchers"),
                stat(
                    `${state.applied}/${watchers.acknowledging}`,
                    "applied the newest revision",
                    state.applied === watchers.acknowledging ? "stat-good" : "stat-warn",
                ),
                stat(watchers.failed.length, "failed", watchers.failed.length ? "stat-bad" : ""),
                stat(watchers.silent, "don't report back"),
            ),
            h(
                "div",
                { class: "columns" },
                h(
                    "section",
                    { class: "card panel-card", "aria-labelledby": "by-revision" },
                    h("h2", { id: "by-revision" }, "By applied revision"),
                    watchers.byRevision.length
                        ? h(
                            "ul",
                            { class: "bars" },
                            [...watchers.byRevision].sort((one, other) => other.revision - one.revision).map((step) =>
                                bar(
                                    `revision ${step.revision}`,
                                    step.watchers,
                                    watchers.acknowledging,
                                    step.revision >= head ? "good" : "warn",
                                )
                            ),
                        )
                        : h(
                            "p",
                            { class: "quiet" },
                            "No watcher reports what it has applied. Clients do when they subscribe with acknowledgements, as keyvane run does.",
                        ),
                    behind
                        ? h("p", { class: "quiet" }, `${count(behind, "application is", "applications are")} behind revision ${head}.`)
                        : null,
                ),
                h(
                    "section",
                    { class: "card panel-card", "aria-labelledby": "by-gateway" },
                    h("h2", { id: "by-gateway" }, "By gateway"),
                    watchers.gateways.length
                        ? h(
                            "ul",
                            { class: "bars" },
                            watchers.gateways.map((gateway) => bar(gateway.name, gateway.watchers, watchers.total, "plain")),
                        )
                        : h("p", { class: "quiet" }, "Nobody watches."),
                ),
            ),
            watchers.failed.length
                ? h(
                    "section",
                    { class: "card panel-card", "aria-labelledby": "failed" },
                    h("h2", { id: "failed" }, "Failed to apply"),
                    h(
                        "ul",
                        { class: "failures" },
                        watchers.failed.map((failure) =>
                            h(
                                "li",
                                {},
                                icon("alert"),
                                h(
                                    "div",
                                    {},
                                    h("p", {}, failure.message || "no message"),
                                    h(
                                        "p",
                                        { class: "quiet" },
                                        `revision ${failure.revision} · connection `,
                                        h("code", {}, failure.connection),
                                    ),
                                ),
                            )
                        ),
                    ),
                )
                : null,
            h("p", { class: "quiet footnote" }, "This page is one of the watchers; it doesn't report back."),
        );
    }

    function bar(label, number, total, tone) {
        const fill = h("span", { class: `bar-fill bar-${tone}` });
        fill.style.setProperty("width", `${total ? (number / total) * 100 : 0}%`);
        return h(
            "li",
            { class: "bar" },
            h("span", { class: "bar-label mono" }, label),
            h("span", { class: "bar-track", "aria-hidden": "true" }, fill),
            h("span", { class: "bar-number" }, String(number)),
        );
    }

    look();
    return () => {
        stopped = true;
        clearTimeout(timer);
    };
}
