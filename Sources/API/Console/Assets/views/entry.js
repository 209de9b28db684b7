// Keyvane
// SPDX-License-Identifier: Apache-2.0

// One entry in a drawer: its value, its history, and what else can be done with it. A save carries the version it was made from; where
// somebody was faster, both values are shown and the person decides.

import { all, call, entryPath } from "../app/rest.js";
import { session } from "../app/session.js";
import { busy, button, field, h, replace, skeleton, valueArea, valueRows } from "../parts/dom.js";
import { icon } from "../parts/icons.js";
import { openDialog } from "../parts/dialog.js";
import { changeLine, difference } from "../parts/difference.js";
import { copy, toast, toastProblem } from "../parts/toast.js";
import { actor, time } from "../parts/format.js";
import { deleteEntry, renameEntry, sealEntry, taken, toggleEntry, undoTo } from "./changes.js";
import { conflictBox, goneBanner } from "./conflict.js";

export function openEntry(model, name, tab = "value") {
    let entry = model.entries.get(name);
    if (!entry) return;
    const place = model.place;
    const canWrite = session.can("write", place, name);
    const mayReveal = !entry.isSecret || session.can("read_secrets", place, name);
    let base = entry.version;
    // Null: a secret whose value nobody has asked for.
    let original = entry.isSecret ? null : entry.value;
    let finished = false;

    const area = valueArea(original ?? "", `Value of ${name}`);
    area.disabled = !canWrite;
    const note = h("input", {
        type: "text",
        class: "input",
        value: entry.note ?? "",
        autocomplete: "off",
        maxlength: 4096,
        disabled: !canWrite,
    });
    const banner = h("div", { "aria-live": "polite" });
    const preview = h("div", { class: "preview", hidden: true });
    const facts = h("p", { class: "facts" });
    const panel = h("div", { class: "panel" });
    const save = button("Save", { kind: "primary", "data-submit": true, disabled: true, onclick: () => busy(save, store) });
    const footer = canWrite
        ? [
            h("span", { class: "hint" }, h("kbd", {}, /Mac/.test(navigator.platform) ? "⌘" : "Ctrl"), h("kbd", {}, "↵")),
            button("Cancel", { onclick: () => dialog.dismiss() }),
            save,
        ]
        : [button("Close", { onclick: () => dialog.dismiss() })];

    const valueChanged = () => (original === null ? area.value !== "" : area.value !== original);
    const noteChanged = () => note.value !== (entry.note ?? "");
    const isChanged = () => canWrite && !finished && (valueChanged() || noteChanged());

    function typed() {
        save.disabled = !isChanged();
        const show = original !== null && valueChanged() && original !== "";
        preview.hidden = !show;
        if (show) replace(preview, h("h3", {}, "Change"), h("pre", { class: "difference mono" }, difference(original, area.value)));
    }
    area.addEventListener("input", typed);
    note.addEventListener("input", typed);

    function drawFacts() {
        replace(
            facts,
            h("span", { class: "badge" }, entry.isSecret ? icon("lock") : icon("text"), entry.isSecret ? "Secret" : "Variable"),
            h("span", { class: "badge" }, `version ${entry.version}`),
            entry.enabled ? null : h("span", { class: "badge badge-warn" }, "disabled"),
            h("span", { class: "quiet" }, time(entry.updatedAt), ` by ${actor(entry.updatedBy)}`),
        );
    }

    /** The audited route, with the person's own token. */
    async function reveal() {
        try {
            const { data } = await call("GET", entryPath(place, entry), { full: true });
            original = data.value;
            base = data.version;
            // What was typed already stays.
            if (area.value === "") area.value = data.value;
            area.rows = valueRows(area.value);
            area.placeholder = "";
            drawValue();
            typed();
            return true;
        } catch (error) {
            toastProblem(error);
            return false;
        }
    }

    function drawValue() {
        const isHidden = entry.isSecret && original === null;
        if (isHidden) area.placeholder = canWrite ? "Hidden. Type a new value to replace it." : "Hidden.";
        const show = button("Reveal", {
            icon: icon("eye"),
            small: true,
            disabled: !mayReveal,
            title: mayReveal ? "This is recorded in the audit" : "This token may not read secrets",
            onclick: () => busy(show, reveal),
        });
        const valueField = field("Value", area);
        const tools = h(
            "div",
            { class: "field-tools" },
            isHidden ? show : button("Copy", { icon: icon("copy"), small: true, onclick: () => copy(area.value, name) }),
            isHidden && mayReveal ? h("span", { class: "hint" }, "Revealing is recorded in the audit.") : null,
        );
        replace(
            panel,
            valueField,
            tools,
            preview,
            field("Note", note, { optional: true, hint: canWrite ? "Why it has this value, for whoever reads it next." : null }),
            canWrite ? actions() : null,
        );
    }

    function actions() {
        const item = (label, text, name, run, kind = "plain") =>
            h(
                "li",
                {},
                h("div", {}, h("strong", {}, label), h("p", { class: "quiet" }, text)),
                button(label, { icon: icon(name), small: true, kind, onclick: run }),
            );
        return h(
            "details",
            { class: "more" },
            h("summary", {}, "More"),
            h(
                "ul",
                { class: "action-list" },
                item(
                    "Rename",
                    "Watchers get the old name's removal and the new name in one frame.",
                    "pencil",
                    () => renameEntry(model, entry, end),
                ),
                entry.isSecret
                    ? null
                    : item("Seal", "Makes it a secret, for good. Its history stays readable in plain text.", "lock", () =>
                        sealEntry(model, entry, end)),
                item(
                    entry.enabled ? "Disable" : "Enable",
                    entry.enabled ? "Takes it from every application, and keeps it here." : "Gives it to every application again.",
                    entry.enabled ? "pause" : "play",
                    async () => {
                        await toggleEntry(model, model.entries.get(name) ?? entry);
                        end();
                    },
                ),
                item("Delete", "Can be undone: its history stays.", "trash", async () => {
                    if (await deleteEntry(model, model.entries.get(name) ?? entry)) end();
                }, "danger"),
            ),
        );
    }

    function end() {
        finished = true;
        dialog.close();
    }

    async function store() {
        if (!isChanged()) return;
        const before = base;
        // A note alone goes with the value as it is, which for a hidden secret has to be read first.
        if (entry.isSecret && original === null && area.value === "" && !(await reveal())) return;
        const body = { value: area.value, ...(noteChanged() ? { note: note.value || null } : {}) };
        try {
            const answer = await call("PUT", entryPath(place, entry), { body, ifMatch: base });
            end();
            taken(model, answer, `${name} was saved`, undoTo(model, entry, before, answer.data.version));
        } catch (error) {
            if (error.status === 412) conflict(error.current);
            else toastProblem(error);
        }
    }

    /** Somebody was faster. */
    function conflict(theirs) {
        if (!theirs) {
            replace(banner, goneBanner("It was deleted meanwhile. Copy what you typed if you need it, then close this."));
            return;
        }
        const box = conflictBox(theirs, area.value, {
            keepTheirs() {
                take(theirs);
                model.put(theirs);
                replace(banner);
                drawValue();
                typed();
                area.focus();
            },
            async overwrite() {
                base = theirs.version;
                await store();
            },
        });
        replace(banner, box);
        preview.hidden = true;
        box.scrollIntoView({ block: "nearest" });
        box.querySelector("button").focus();
    }

    /** The entry as it is now, in place of what was shown. */
    function take(next) {
        entry = next;
        base = next.version;
        original = next.isSecret ? null : next.value;
        area.value = original ?? "";
        note.value = next.note ?? "";
        drawFacts();
    }

    /** While it is open: what others do to it is told, and taken over where nothing was typed. */
    function changed(event) {
        const op = event.detail.get(name);
        if (!op || finished) return;
        const next = model.entries.get(name);
        if (op === "delete" || !next) {
            replace(banner, goneBanner("This entry was deleted just now."));
            return;
        }
        if (next.version === entry.version) {
            entry = { ...entry, note: next.note };
            return;
        }
        if (!isChanged()) {
            take(next);
            if (tab === "value") drawValue();
            else drawHistory();
        } else if (!banner.querySelector(".conflict")) {
            replace(
                banner,
                h(
                    "div",
                    { class: "banner banner-warn" },
                    icon("alert"),
                    h("span", {}, `${actor(next.updatedBy)} changed it just now. Saving will ask you which value to keep.`),
                ),
            );
        }
    }

    const ended = new AbortController();
    async function drawHistory() {
        replace(panel, skeleton(5));
        try {
            const versions = await all(`${entryPath(place, entry)}/versions`, { signal: ended.signal });
            if (tab !== "history") return;
            const verbs = { set: "Set", delete: "Deleted", disable: "Disabled", enable: "Enabled" };
            replace(
                panel,
                h(
                    "ol",
                    { class: "timeline" },
                    versions.map((version, index) => {
                        const before = versions[index + 1];
                        const restore = canWrite && index > 0 && version.op !== "delete"
                            ? button("Restore", {
                                icon: icon("back"),
                                small: true,
                                "aria-label": `Restore version ${version.version}`,
                                onclick: () => busy(restore, () => back(version)),
                            })
                            : null;
                        const line = version.op === "delete"
                            ? changeLine(before?.value ?? null, null, { isSecret: entry.isSecret })
                            : version.op === "set" && before?.value === version.value && !entry.isSecret
                            ? h("p", { class: "quiet" }, "the same value; its note changed")
                            : entry.isSecret || !before || before.value === null
                            ? changeLine(null, version.value ?? "", { isSecret: entry.isSecret })
                            : version.op === "set"
                            ? h("pre", { class: "difference mono" }, difference(before.value, version.value))
                            : null;
                        return h(
                            "li",
                            { class: "timeline-item" },
                            h(
                                "div",
                                { class: "timeline-head" },
                                h("strong", {}, verbs[version.op] ?? version.op),
                                h("span", { class: "badge" }, `v${version.version}`),
                                index === 0 ? h("span", { class: "badge badge-good" }, "now") : null,
                                h("span", { class: "quiet" }, time(version.at), ` by ${actor(version.by)} · revision ${version.revision}`),
                                h("div", { class: "spacer" }),
                                restore,
                            ),
                            line,
                            version.note ? h("p", { class: "note" }, version.note) : null,
                        );
                    }),
                ),
            );
        } catch (error) {
            if (error.name !== "AbortError") replace(panel, h("p", { class: "quiet" }, error.message));
        }
    }

    async function back(version) {
        try {
            const answer = await call("POST", `${entryPath(place, entry)}/rollback`, {
                body: { version: version.version },
                ifMatch: entry.version,
            });
            end();
            taken(
                model,
                answer,
                `${name} has its value of version ${version.version} again`,
                undoTo(model, entry, entry.version, answer.data.version),
            );
        } catch (error) {
            if (error.status === 412) toast("It has changed meanwhile. Look at its history again.", { kind: "bad" });
            else toastProblem(error);
        }
    }

    const tabButtons = ["value", "history"].map((key) =>
        h("button", {
            type: "button",
            role: "tab",
            id: `tab-${key}`,
            "aria-controls": "entry-panel",
            class: "tab",
            onclick: () => choose(key),
        }, key === "value" ? "Value" : "History")
    );
    panel.id = "entry-panel";
    panel.setAttribute("role", "tabpanel");
    const tabs = h("div", {
        class: "tabs",
        role: "tablist",
        "aria-label": "Parts of the entry",
        onkeydown: (event) => {
            if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
                choose(tab === "value" ? "history" : "value");
                tabButtons.find((one) => one.getAttribute("aria-selected") === "true").focus();
            }
        },
    }, tabButtons);

    function choose(key) {
        tab = key;
        tabButtons.forEach((one, index) => {
            const isChosen = ["value", "history"][index] === key;
            one.setAttribute("aria-selected", String(isChosen));
            one.tabIndex = isChosen ? 0 : -1;
        });
        panel.setAttribute("aria-labelledby", `tab-${key}`);
        for (const one of [save, footer[0]]) one.hidden = canWrite && key !== "value";
        if (key === "value") {
            drawValue();
            typed();
        } else drawHistory();
    }

    model.addEventListener("entries", changed);
    const dialog = openDialog({
        title: name,
        subtitle: facts,
        side: true,
        body: h("div", { class: "stack" }, banner, tabs, panel),
        footer,
        guard: () => (isChanged()
            ? { title: "Leave without saving?", text: `What you changed in ${name} is lost.`, action: "Leave", kind: "danger" }
            : null),
        onclose: () => {
            ended.abort();
            model.removeEventListener("entries", changed);
        },
    });
    dialog.classList.add("entry-drawer");
    drawFacts();
    choose(tab);
    if (tab === "value" && canWrite) area.focus();
}
