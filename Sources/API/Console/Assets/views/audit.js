// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Who did what when, in one workspace or outside of all of them: mutations, and reads of secrets.

import { all, get } from "../app/rest.js";
import { recentPlace } from "../app/router.js";
import { session } from "../app/session.js";
import { busy, button, empty, h, replace, skeleton } from "../parts/dom.js";
import { icon } from "../parts/icons.js";
import { toastProblem } from "../parts/toast.js";
import { actor, time } from "../parts/format.js";

const sentences = {
    "entry.set": "Set an entry",
    "entry.delete": "Deleted an entry",
    "entry.disable": "Disabled an entry",
    "entry.enable": "Enabled an entry",
    "entry.rename": "Renamed an entry",
    "entry.rollback": "Rolled an entry back",
    "entry.seal": "Sealed an entry",
    "configuration.patch": "Changed several entries",
    "configuration.import": "Imported",
    "environment.rollback": "Rolled everything back",
    "environment.promote": "Promoted",
    "secret.read": "Read a secret",
    "watch.subscribe": "Watches with secrets",
    "instance.drain": "Drained an instance",
    "instance.ready": "Let an instance serve",
};

/** What has no sentence of its own is `thing.done`. */
const sentence = (action) => {
    const text = sentences[action] ?? action.split(".").reverse().join(" ");
    return text.charAt(0).toUpperCase() + text.slice(1);
};

const icons = {
    secret: "eye",
    entry: "text",
    configuration: "layers",
    token: "shield",
    instance: "server",
    watch: "people",
    subscription: "people",
};

export function auditView(main, { workspace }) {
    const ended = new AbortController();
    const content = h("div", { class: "content" }, skeleton(8));
    const choice = h("select", { class: "input", "aria-label": "Workspace", onchange: () => load(choice.value) });
    const body = h("tbody", {});
    let cursor = null;
    replace(
        main,
        h(
            "div",
            { class: "view-head" },
            h("div", {}, h("h1", {}, "Audit"), h("p", { class: "lede" }, "Every change, and every look at a secret.")),
            h("div", { class: "actions" }, choice),
        ),
        content,
    );

    async function start() {
        try {
            const workspaces = await all("/v1/workspaces", { signal: ended.signal });
            replace(
                choice,
                workspaces.filter((one) => session.can("admin", { workspace: one.slug })).map((one) =>
                    h("option", { value: one.slug }, one.slug)
                ),
                session.isOperator ? h("option", { value: "*" }, "Outside of workspaces") : null,
            );
            const wanted = [workspace, recentPlace()?.workspace, choice.options[0]?.value].find((one) =>
                [...choice.options].some((option) => option.value === one)
            );
            if (!wanted) {
                replace(content, empty(icon("log"), "Nothing to see", "The audit needs the permission admin for a workspace."));
                return;
            }
            choice.value = wanted;
            await load(wanted);
        } catch (error) {
            failed(error);
        }
    }

    function failed(error) {
        if (error.name !== "AbortError") replace(content, empty(icon("log"), "It could not be read", error.message));
    }

    const page = async (name) => {
        const query = new URLSearchParams({ limit: "100", ...(cursor ? { cursor } : {}) });
        const found = await get(`/v1/workspaces/${encodeURIComponent(name)}/audit?${query}`, { signal: ended.signal });
        cursor = found.nextCursor;
        return found.items;
    };

    async function load(name) {
        cursor = null;
        try {
            const items = await page(name);
            body.replaceChildren(...items.map(row));
            if (!items.length) {
                replace(content, empty(icon("log"), "Nothing has happened yet", "The first change shows up here."));
                return;
            }
            const more = button("Show older", {
                onclick: () =>
                    busy(more, async () => {
                        try {
                            body.append(...(await page(name)).map(row));
                            more.hidden = !cursor;
                        } catch (error) {
                            toastProblem(error);
                        }
                    }),
            });
            more.hidden = !cursor;
            replace(
                content,
                h(
                    "div",
                    { class: "card table-card" },
                    h(
                        "table",
                        { class: "table audit" },
                        h(
                            "thead",
                            {},
                            h(
                                "tr",
                                {},
                                ["What", "Where", "Who", "When", "Revision", "Request"].map((title) => h("th", { scope: "col" }, title)),
                            ),
                        ),
                        body,
                    ),
                ),
                h("div", { class: "more-rows" }, more),
            );
        } catch (error) {
            failed(error);
        }
    }

    function row(event) {
        const cell = (label, ...children) => h("td", { "data-label": label }, children);
        const family = event.action.split(".")[0];
        return h(
            "tr",
            {},
            h(
                "th",
                { scope: "row" },
                h("span", { class: "audit-action" }, icon(icons[family] ?? "log"), h("span", {}, sentence(event.action))),
            ),
            cell(
                "Where",
                h(
                    "span",
                    { class: "mono audit-target" },
                    event.target.split("/").flatMap((part, index) => (index ? ["/", h("wbr"), part] : [part])),
                ),
            ),
            cell("Who", h("span", { class: "mono" }, actor(event.actor))),
            cell("When", time(event.at)),
            cell("Revision", event.revision ? h("span", { class: "badge" }, `r${event.revision}`) : h("span", { class: "quiet" }, "–")),
            cell("Request", h("code", { class: "slug", title: event.requestId ?? "" }, event.requestId?.slice(0, 8) ?? "–")),
        );
    }

    start();
    return () => ended.abort();
}
