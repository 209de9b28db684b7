// Keyvane
// SPDX-License-Identifier: Apache-2.0

// What happened in an environment, newest first, one item a transaction; and the way back to any of its revisions.

import { call, environmentPath, get } from "../app/rest.js";
import { session } from "../app/session.js";
import { busy, button, empty, h, replace, skeleton } from "../parts/dom.js";
import { icon } from "../parts/icons.js";
import { openDialog } from "../parts/dialog.js";
import { changeLine } from "../parts/difference.js";
import { toast, toastProblem } from "../parts/toast.js";
import { actor, count, time } from "../parts/format.js";
import { followRollout } from "../parts/rollout.js";

const span = 200;

export function historyView(main, { model, place }) {
    const ended = new AbortController();
    const base = environmentPath(place);
    const content = h("div", { class: "content" }, skeleton(8));
    const canWrite = session.can("write", place);
    let items = [];
    let from = null;
    let oldest = false;

    replace(
        main,
        h(
            "div",
            { class: "view-head" },
            h(
                "div",
                {},
                h("h1", {}, "History"),
                h(
                    "p",
                    { class: "lede" },
                    "Every change since the environment was made. Going back is a change, too: nothing is ever lost.",
                ),
            ),
        ),
        content,
    );

    /** The log from a revision on, all of its pages. */
    async function read(since, until) {
        const found = [];
        let at = since;
        while (at < until) {
            const query = new URLSearchParams({ since: at, limit: "200", reveal: "false" });
            const page = await get(`${base}/changes?${query}`, { signal: ended.signal });
            found.push(...page.items.filter((item) => item.revision <= until));
            if (page.revision <= at) break;
            at = page.revision;
        }
        return found;
    }

    async function load() {
        try {
            const head = (await get(base, { signal: ended.signal })).revision;
            from = Math.max(0, head - span);
            items = await read(from, head);
            draw();
        } catch (error) {
            failed(error);
        }
    }

    async function older() {
        try {
            const until = from;
            from = Math.max(0, from - span);
            items = [...(await read(from, until)), ...items];
        } catch (error) {
            if (error.status !== 410) throw error;
            oldest = true;
        }
        draw();
    }

    function failed(error) {
        if (error.name === "AbortError") return;
        if (error.status === 410) oldest = true;
        replace(
            content,
            empty(
                icon("history"),
                error.status === 410 ? "The log doesn't reach back that far" : "It could not be read",
                error.message,
                button("Try again", { onclick: load }),
            ),
        );
    }

    /** Changes of one transaction have one time and one person, and follow each other. */
    function transactions() {
        const groups = [];
        for (const item of items) {
            const last = groups.at(-1);
            const joins = last && last.at === item.at && last.by === item.by && last.to + 1 === item.revision;
            if (joins) {
                last.items.push(item);
                last.to = item.revision;
            } else groups.push({ at: item.at, by: item.by, from: item.revision, to: item.revision, items: [item] });
        }
        return groups.reverse();
    }

    function draw() {
        const groups = transactions();
        if (!groups.length) {
            replace(content, empty(icon("history"), "Nothing has happened yet", "The first change shows up here as soon as it is made."));
            return;
        }
        // The value before each change, as far as the log that is here tells.
        const before = new Map();
        const seen = new Map();
        for (const item of items) {
            before.set(item.revision, seen.has(item.name) ? seen.get(item.name) : undefined);
            seen.set(item.name, item.op === "delete" ? null : item.value);
        }
        replace(
            content,
            h("ol", { class: "timeline card" }, groups.map((group, index) => item(group, index, before))),
            from > 0 && !oldest ? h("div", { class: "more-rows" }, olderButton()) : null,
            oldest ? h("p", { class: "quiet centered" }, "The log doesn't reach back further.") : null,
        );
    }

    function olderButton() {
        const element = button("Show older changes", { onclick: () => busy(element, () => older().catch(toastProblem)) });
        return element;
    }

    function item(group, index, before) {
        const names = group.items;
        const visible = names.slice(0, 6);
        const line = (change) => {
            const old = before.get(change.revision);
            // The title of a single change has said its name.
            return h(
                "li",
                { class: names.length === 1 ? "alone" : null },
                names.length === 1 ? null : h("span", { class: "import-name mono" }, change.isSecret ? icon("lock") : null, change.name),
                h(
                    "div",
                    { class: "import-value" },
                    changeLine(old ?? null, change.op === "delete" ? null : change.value ?? "", { isSecret: change.isSecret }),
                ),
            );
        };
        const list = h("ul", { class: "import-list" }, visible.map(line));
        const rest = names.length - visible.length;
        const all = rest > 0
            ? button(`and ${count(rest, "more", "more")}`, {
                kind: "ghost",
                small: true,
                onclick: () => replace(list, names.map(line)) && all.remove(),
            })
            : null;
        const isNow = index === 0;
        return h(
            "li",
            { class: "timeline-item" },
            h(
                "div",
                { class: "timeline-head" },
                h("strong", {}, summary(names)),
                h("span", { class: "badge" }, group.from === group.to ? `r${group.to}` : `r${group.from}–${group.to}`),
                isNow ? h("span", { class: "badge badge-good" }, "now") : null,
                h("span", { class: "quiet" }, time(group.at), ` by ${actor(group.by)}`),
                h("div", { class: "spacer" }),
                isNow ? null : button(canWrite ? "Compare and roll back" : "Compare with now", {
                    icon: icon("back"),
                    kind: "ghost",
                    small: true,
                    "aria-label": `Compare revision ${group.to} with now${canWrite ? " and roll back" : ""}`,
                    onclick: () => openRollback(group.to),
                }),
            ),
            list,
            all,
        );
    }

    const summary = (names) => {
        const gone = names.filter((change) => change.op === "delete").length;
        if (names.length === 1) {
            return [
                gone ? "Removed " : "Set ",
                h("span", { class: "mono" }, names[0].name),
                names[0].isSecret ? h("span", { class: "kind" }, icon("lock")) : null,
            ];
        }
        return [names.length - gone ? `Set ${count(names.length - gone, "entry", "entries")}` : null, gone ? `removed ${gone}` : null]
            .filter(Boolean).join(", ");
    };

    async function openRollback(revision) {
        let difference;
        let past;
        try {
            const now = model.revision;
            // From now to then: what the rollback would do.
            difference = await get(`${base}/diff?from=${now}&to=${revision}`, { signal: ended.signal });
            past = new Map(
                (await get(`${base}/configuration?at=${revision}`, { signal: ended.signal })).entries.map((entry) => [entry.name, entry]),
            );
            difference.now = now;
        } catch (error) {
            toastProblem(error);
            return;
        }
        const total = difference.added.length + difference.changed.length + difference.removed.length;
        const row = (name, kind) => {
            const present = model.entries.get(name);
            const then = past.get(name);
            const isSecret = present?.isSecret ?? then === undefined;
            return h(
                "li",
                {},
                h("span", { class: "import-name mono" }, name),
                h(
                    "div",
                    { class: "import-value" },
                    changeLine(kind === "added" ? null : present?.value ?? "", kind === "removed" ? null : then?.value ?? "", { isSecret }),
                ),
            );
        };
        const group = (title, badge, names, kind) =>
            names.length
                ? h(
                    "section",
                    { class: "import-group" },
                    h("h3", {}, title, h("span", { class: `badge badge-${badge}` }, String(names.length))),
                    h("ul", { class: "import-list" }, names.map((name) => row(name, kind))),
                )
                : null;
        const apply = canWrite && total
            ? button(`Roll back to revision ${revision}`, {
                kind: "primary",
                "data-submit": true,
                onclick: () =>
                    busy(apply, async () => {
                        try {
                            const answer = await call("POST", `${base}/rollback`, { body: { revision }, ifMatch: difference.now });
                            dialog.close();
                            toast(`Everything is as it was at revision ${revision}`);
                            followRollout(place, answer.revision);
                            load();
                        } catch (error) {
                            if (error.status === 412) {
                                dialog.close();
                                toast("Somebody changed the environment meanwhile. Look again at what a rollback would do.", {
                                    kind: "bad",
                                });
                            } else toastProblem(error);
                        }
                    }),
            })
            : null;
        const dialog = openDialog({
            title: canWrite ? `Roll back to revision ${revision}?` : `Since revision ${revision}`,
            subtitle: h(
                "p",
                { class: "quiet" },
                total
                    ? "This is what would change, in one transaction, as new revisions."
                    : "Nothing differs: everything is as it was then.",
            ),
            wide: true,
            body: h(
                "div",
                { class: "stack" },
                group("Comes back", "good", difference.added, "added"),
                group("Changes", "warn", difference.changed, "changed"),
                group("Goes", "bad", difference.removed, "removed"),
            ),
            footer: [button(apply ? "Cancel" : "Close", { onclick: () => dialog.close() }), apply],
        });
    }

    // What happens while it is open is added on top.
    let timer = null;
    const changed = () => {
        clearTimeout(timer);
        timer = setTimeout(load, 120);
    };
    model.addEventListener("entries", changed);
    load();
    return () => {
        ended.abort();
        clearTimeout(timer);
        model.removeEventListener("entries", changed);
    };
}
