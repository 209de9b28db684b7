// Keyvane
// SPDX-License-Identifier: Apache-2.0

// The table of an environment's entries. Rows are kept by name and redrawn one by one, so that a change from elsewhere moves neither the
// focus nor what is being read.

import { call, entryPath } from "../app/rest.js";
import { session } from "../app/session.js";
import { addKeys } from "../app/keys.js";
import { announce, busy, button, empty, h, replace, skeleton } from "../parts/dom.js";
import { icon } from "../parts/icons.js";
import { toggleMenu } from "../parts/dialog.js";
import { copy, toastProblem } from "../parts/toast.js";
import { actor, count, time } from "../parts/format.js";
import { deleteEntry, toggleEntry } from "./changes.js";
import { openNewEntry } from "./create.js";
import { openEntry } from "./entry.js";
import { exportMenu, openImport } from "./import.js";

const pageSize = 400;
const revealSeconds = 30;

const filters = {
    all: { label: "All", test: () => true },
    variables: { label: "Variables", test: (entry) => !entry.isSecret },
    secrets: { label: "Secrets", test: (entry) => entry.isSecret },
    disabled: { label: "Disabled", test: (entry) => !entry.enabled },
};

export function entriesView(main, { model, place }) {
    const rows = new Map();
    const revealed = new Map();
    let filter = "all";
    let limit = pageSize;
    const canWrite = session.can("write", place);

    const search = h("input", {
        type: "search",
        class: "input search-input",
        placeholder: "Search names, values and notes",
        "aria-label": "Search entries",
        autocomplete: "off",
        spellcheck: "false",
        "aria-keyshortcuts": "/",
    });
    const tabs = h("div", { class: "segments", role: "group", "aria-label": "Show" });
    const facts = h("p", { class: "lede", "aria-live": "off" }, "Loading…");
    const body = h("tbody", {});
    const table = h(
        "table",
        { class: "table entries" },
        h("caption", { class: "visually-hidden" }, `Entries of ${model.path}`),
        h(
            "thead",
            {},
            h(
                "tr",
                {},
                h("th", { scope: "col", class: "col-name" }, "Name"),
                h("th", { scope: "col", class: "col-value" }, "Value"),
                h("th", { scope: "col", class: "col-updated" }, "Last change"),
                h("th", { scope: "col", class: "col-actions" }, h("span", { class: "visually-hidden" }, "Actions")),
            ),
        ),
        body,
    );
    const content = h("div", { class: "content" }, skeleton(10));
    const toolbar = h(
        "div",
        { class: "toolbar" },
        h("div", { class: "search" }, icon("search"), search, h("kbd", { "aria-hidden": "true" }, "/")),
        tabs,
    );
    const create = () => canWrite && openNewEntry(model);
    const bringIn = () => canWrite && openImport(model);

    replace(
        main,
        h(
            "div",
            { class: "view-head" },
            h("div", {}, h("h1", {}, "Entries"), facts),
            h(
                "div",
                { class: "actions" },
                exportMenu(model),
                canWrite ? button("Import", { icon: icon("upload"), onclick: bringIn }) : null,
                canWrite ? button("New entry", { icon: icon("plus"), kind: "primary", onclick: create, "aria-keyshortcuts": "n" }) : null,
            ),
        ),
        toolbar,
        content,
    );

    function matching() {
        const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
        return [...model.entries.values()]
            .filter((entry) =>
                filters[filter].test(entry) &&
                words.every((word) => `${entry.name}\n${entry.value ?? ""}\n${entry.note ?? ""}`.toLowerCase().includes(word))
            )
            .sort((one, other) => (one.name < other.name ? -1 : 1));
    }

    function drawFacts() {
        toolbar.hidden = model.entries.size === 0;
        const entries = [...model.entries.values()];
        const secrets = entries.filter((entry) => entry.isSecret).length;
        replace(
            facts,
            `${count(entries.length, "entry", "entries")}, ${count(secrets, "secret")} · `,
            h("span", { class: "revision" }, `revision ${model.revision}`),
        );
        replace(
            tabs,
            Object.entries(filters).filter(([key]) =>
                key !== "disabled" || filter === "disabled" || entries.some((entry) => !entry.enabled)
            ).map(([key, one]) =>
                h(
                    "button",
                    {
                        type: "button",
                        class: "segment",
                        "aria-pressed": String(filter === key),
                        onclick: () => {
                            filter = key;
                            limit = pageSize;
                            draw();
                        },
                    },
                    one.label,
                    h("span", { class: "segment-count" }, String(entries.filter(one.test).length)),
                )
            ),
        );
    }

    function draw() {
        if (!model.isLoaded) return;
        drawFacts();
        if (!model.entries.size) {
            replace(
                content,
                empty(
                    icon("key"),
                    "Nothing here yet",
                    canWrite
                        ? "Add the first entry, or paste the .env file that you have now."
                        : "This environment has no entry that this token may read.",
                    canWrite ? button("Import a .env", { icon: icon("upload"), onclick: bringIn }) : null,
                    canWrite ? button("New entry", { icon: icon("plus"), kind: "primary", onclick: create }) : null,
                ),
            );
            return;
        }
        const found = matching();
        if (!found.length) {
            replace(
                content,
                empty(
                    icon("search"),
                    "No entry fits",
                    "Nothing has that in its name, value or note.",
                    button("Show all", {
                        onclick: () => {
                            search.value = "";
                            filter = "all";
                            draw();
                        },
                    }),
                ),
            );
            return;
        }
        const wanted = found.slice(0, limit);
        const names = new Set(wanted.map((entry) => entry.name));
        for (const [name, row] of rows) {
            if (!names.has(name)) {
                row.remove();
                rows.delete(name);
            }
        }
        wanted.forEach((entry, index) => {
            const row = rows.get(entry.name) ?? drawRow(entry);
            if (body.children[index] !== row) body.insertBefore(row, body.children[index] ?? null);
        });
        if (!content.contains(table)) replace(content, h("div", { class: "card table-card" }, table));
        content.querySelector(".more-rows")?.remove();
        if (found.length > limit) {
            content.append(
                h(
                    "div",
                    { class: "more-rows" },
                    button(`Show ${Math.min(pageSize, found.length - limit)} more of ${found.length - limit}`, {
                        onclick: () => {
                            limit += pageSize;
                            draw();
                        },
                    }),
                ),
            );
        }
    }

    /** Makes a row, or makes it anew in place. */
    function drawRow(entry) {
        const row = rows.get(entry.name) ?? h("tr", { dataset: { name: entry.name } });
        rows.set(entry.name, row);
        const focused = row.contains(document.activeElement) ? document.activeElement.dataset.part : null;
        row.className = entry.enabled ? "" : "is-disabled";
        const shown = entry.isSecret ? revealed.get(entry.name) : undefined;
        const mayReveal = session.can("read_secrets", place, entry.name);
        const open = () => openEntry(model, entry.name);
        replace(
            row,
            h(
                "th",
                { scope: "row", class: "col-name" },
                h(
                    "button",
                    { type: "button", class: "name-button mono", dataset: { part: "name" }, onclick: open },
                    h("span", { class: "name-text" }, entry.name),
                ),
                entry.isSecret
                    ? h(
                        "span",
                        { class: "kind", title: "Encrypted at rest" },
                        icon("lock"),
                        h("span", { class: "visually-hidden" }, "secret"),
                    )
                    : null,
                entry.enabled ? null : h("span", { class: "badge" }, "disabled"),
                entry.note ? h("p", { class: "note", title: entry.note }, entry.note) : null,
            ),
            h("td", { class: "col-value" }, valueCell(entry, shown)),
            h("td", { class: "col-updated" }, time(entry.updatedAt), h("span", { class: "by" }, actor(entry.updatedBy))),
            h(
                "td",
                { class: "col-actions" },
                h(
                    "div",
                    { class: "row-actions" },
                    entry.isSecret
                        ? button(shown === undefined ? `Reveal ${entry.name}` : `Hide ${entry.name}`, {
                            icon: icon(shown === undefined ? "eye" : "hide"),
                            kind: "ghost",
                            only: true,
                            small: true,
                            disabled: !mayReveal,
                            "data-part": "reveal",
                            title: mayReveal ? "Reveal; this is recorded" : "This token may not read secrets",
                            onclick: () => (shown === undefined ? reveal(entry) : hide(entry.name)),
                        })
                        : null,
                    button(`Copy the value of ${entry.name}`, {
                        icon: icon("copy"),
                        kind: "ghost",
                        only: true,
                        small: true,
                        disabled: entry.isSecret && !mayReveal,
                        "data-part": "copy",
                        onclick: () => copyValue(entry),
                    }),
                    button(`More for ${entry.name}`, {
                        icon: icon("more"),
                        kind: "ghost",
                        only: true,
                        small: true,
                        "data-part": "more",
                        "aria-haspopup": "menu",
                        "aria-expanded": "false",
                        onclick: (event) =>
                            toggleMenu(event.currentTarget, [
                                { label: canWrite ? "Edit" : "Open", icon: "pencil", run: open },
                                { label: "History", icon: "history", run: () => openEntry(model, entry.name, "history") },
                                { label: "Copy name", icon: "copy", run: () => copy(entry.name, "Name") },
                                canWrite && null,
                                canWrite &&
                                {
                                    label: entry.enabled ? "Disable" : "Enable",
                                    icon: entry.enabled ? "pause" : "play",
                                    run: () => toggleEntry(model, entry),
                                },
                                canWrite && {
                                    label: "Delete",
                                    icon: "trash",
                                    kind: "danger",
                                    run: () => deleteEntry(model, entry),
                                },
                            ]),
                    }),
                ),
            ),
        );
        if (focused) row.querySelector(`[data-part="${focused}"]`)?.focus();
        return row;
    }

    function valueCell(entry, shown) {
        if (entry.isSecret && shown === undefined) return h("span", { class: "masked", "aria-label": "hidden" }, "••••••••••••");
        const text = entry.isSecret ? shown : entry.value;
        if (text === "") return h("span", { class: "quiet" }, "empty");
        const [first, ...others] = text.slice(0, 400).split("\n");
        return h(
            "span",
            { class: "value mono", title: entry.isSecret ? null : text.slice(0, 1_000) },
            h("span", { class: "value-text" }, first),
            others.length ? h("span", { class: "badge" }, `${text.split("\n").length} lines`) : null,
        );
    }

    /** The audited route, with the person's own token. */
    async function read(entry) {
        return (await call("GET", entryPath(place, entry), { full: true })).data.value;
    }

    async function reveal(entry) {
        try {
            revealed.set(entry.name, await read(entry));
            redraw(entry.name);
            announce(`${entry.name} is shown for ${revealSeconds} seconds`);
            setTimeout(() => hide(entry.name), revealSeconds * 1000);
        } catch (error) {
            toastProblem(error);
        }
    }

    function hide(name) {
        if (revealed.delete(name)) redraw(name);
    }

    async function copyValue(entry) {
        try {
            await copy(entry.isSecret ? await read(entry) : entry.value, entry.name);
        } catch (error) {
            toastProblem(error);
        }
    }

    function redraw(name) {
        const entry = model.entries.get(name);
        if (entry && rows.has(name)) drawRow(entry);
    }

    /** What has just changed glows, whoever changed it. */
    function changed(event) {
        for (const [name, op] of event.detail) {
            // A new value is a new secret.
            revealed.delete(name);
            if (op === "delete") rows.get(name)?.remove(), rows.delete(name);
            else redraw(name);
        }
        draw();
        for (const name of event.detail.keys()) pulse(rows.get(name));
        if (event.detail.size === 1) announce(`${[...event.detail.keys()][0]} has changed`);
        else announce(`${event.detail.size} entries have changed`);
    }

    function pulse(row) {
        if (!row) return;
        row.classList.remove("pulse");
        requestAnimationFrame(() => row.classList.add("pulse"));
        row.addEventListener("animationend", () => row.classList.remove("pulse"), { once: true });
    }

    function loaded() {
        rows.clear();
        body.replaceChildren();
        draw();
    }

    function failed() {
        if (model.failure.status === 404) {
            gone();
            return;
        }
        replace(facts, "");
        const again = button("Try again", { kind: "primary", onclick: () => busy(again, () => model.open()) });
        replace(content, empty(icon("alert"), "It could not be read", model.failure.message, again));
    }

    function gone() {
        replace(facts, "");
        replace(
            content,
            empty(
                icon("alert"),
                "No such environment",
                "It does not exist, or this token may not know of it.",
                button("All environments", { href: "#/" }),
            ),
        );
    }

    const hidden = () => {
        if (document.hidden) { for (const name of [...revealed.keys()]) hide(name); }
    };
    const move = (step) => {
        const buttons = [...body.querySelectorAll(".name-button")];
        const at = buttons.findIndex((one) => one.closest("tr").contains(document.activeElement));
        buttons[Math.max(0, Math.min(buttons.length - 1, at + step))]?.focus();
    };

    search.addEventListener("input", () => {
        limit = pageSize;
        draw();
    });
    search.addEventListener("keydown", (event) => {
        if (event.key === "Escape" && search.value) search.value = "", draw(), event.preventDefault();
        else if (event.key === "Escape") search.blur();
        else if (event.key === "ArrowDown" || event.key === "Enter") move(1), event.preventDefault();
    });
    model.addEventListener("loaded", loaded);
    model.addEventListener("entries", changed);
    model.addEventListener("failed", failed);
    model.addEventListener("gone", gone);
    document.addEventListener("visibilitychange", hidden);
    const takeKeys = addKeys({
        "/": { label: "Search", run: () => search.select() },
        n: { label: "New entry", run: create },
        i: { label: "Import", run: bringIn },
        j: { label: "Next row", run: () => move(1) },
        k: { label: "Row before", run: () => move(-1) },
        ArrowDown: { run: () => move(1) },
        ArrowUp: { run: () => move(-1) },
    });
    if (model.failure) failed();
    else draw();
    return () => {
        takeKeys();
        revealed.clear();
        model.removeEventListener("loaded", loaded);
        model.removeEventListener("entries", changed);
        model.removeEventListener("failed", failed);
        model.removeEventListener("gone", gone);
        document.removeEventListener("visibilitychange", hidden);
    };
}
