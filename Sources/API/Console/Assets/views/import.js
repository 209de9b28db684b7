// Keyvane
// SPDX-License-Identifier: Apache-2.0

// A pasted dotenv, its difference to what is there, and only then the import: one transaction, refused if anything changed in between.

import { call, environmentPath } from "../app/rest.js";
import { session } from "../app/session.js";
import { busy, button, field, h, replace } from "../parts/dom.js";
import { icon } from "../parts/icons.js";
import { confirm, openDialog, toggleMenu } from "../parts/dialog.js";
import { readDotenv } from "../parts/dotenv.js";
import { changeLine } from "../parts/difference.js";
import { toast, toastProblem } from "../parts/toast.js";
import { count, looksSecret } from "../parts/format.js";
import { followRollout } from "../parts/rollout.js";

export function openImport(model) {
    const path = `${environmentPath(model.place)}/configuration`;
    const text = h("textarea", {
        class: "input mono import-area",
        rows: 16,
        spellcheck: "false",
        autocomplete: "off",
        autocapitalize: "off",
        placeholder: 'DB_HOST=10.0.0.5\nDB_PASSWORD="…"\n# comments and export are fine',
        autofocus: true,
    });
    const replaces = h("input", { type: "checkbox" });
    const textField = field("Contents of the .env file", text, {
        hint: "Nothing is changed before you have seen the difference. A file can be dropped here, too.",
    });
    const body = h("div", { class: "stack" });
    const secrets = new Set();
    let finished = false;
    let checked = null;

    const next = button("Compare", {
        kind: "primary",
        "data-submit": true,
        onclick: () => busy(next, () => (checked ? apply() : compare())),
    });
    const back = button("Back", { onclick: edit, hidden: true });
    const cancel = button("Cancel", { onclick: () => dialog.dismiss() });
    const modeField = h(
        "label",
        { class: "check" },
        replaces,
        h("span", {}, h("strong", {}, "Replace everything"), h("small", {}, "Delete the entries that the pasted text doesn't have.")),
    );
    const hidden = h("p", { class: "visually-hidden", "aria-live": "polite" });

    text.addEventListener("dragover", (event) => event.preventDefault());
    text.addEventListener("drop", async (event) => {
        const file = event.dataTransfer.files[0];
        if (!file) return;
        event.preventDefault();
        text.value = await file.text();
    });

    function edit() {
        checked = null;
        replace(body, textField, modeField, hidden);
        back.hidden = true;
        next.querySelector("span").textContent = "Compare";
        next.disabled = false;
        text.focus();
    }

    const query = (values) => {
        const wanted = { format: "dotenv", mode: replaces.checked ? "replace" : "merge", ...values };
        if (secrets.size) wanted.secrets = [...secrets].join(",");
        return `${path}?${new URLSearchParams(wanted)}`;
    };

    async function compare() {
        textField.refuse(null);
        if (!text.value.trim()) {
            textField.refuse("Paste something first.");
            return;
        }
        try {
            // Names only are asked for: the server's reading of the text decides, values beside them are for the eye.
            const answer = await call("PUT", query({ dryRun: "true" }), { text: text.value, full: true, key: false });
            const pasted = readDotenv(text.value);
            if (!checked) {
                secrets.clear();
                for (const name of answer.data.added) if (looksSecret(name, pasted.get(name))) secrets.add(name);
            }
            checked = { revision: answer.etag, difference: answer.data, pasted };
            show();
        } catch (error) {
            edit();
            textField.refuse(error.text);
        }
    }

    function show() {
        const { added, changed, removed, watchers } = checked.difference;
        const total = added.length + changed.length + removed.length;
        const unchanged = [...checked.pasted.keys()].length - added.length - changed.length;
        const group = (title, kind, names, row) =>
            names.length
                ? h(
                    "section",
                    { class: "import-group", "aria-label": title },
                    h("h3", {}, title, h("span", { class: `badge badge-${kind}` }, String(names.length))),
                    h("ul", { class: "import-list" }, names.map(row)),
                )
                : null;
        const summary = h(
            "div",
            { class: "import-summary" },
            h("span", { class: "tally tally-add" }, h("strong", {}, `+${added.length}`), "new"),
            h("span", { class: "tally tally-change" }, h("strong", {}, `~${changed.length}`), "changed"),
            h("span", { class: "tally tally-remove" }, h("strong", {}, `−${removed.length}`), "removed"),
            h("span", { class: "tally" }, h("strong", {}, String(Math.max(0, unchanged))), "the same"),
            h(
                "span",
                { class: "tally" },
                h("strong", {}, watchers === null ? "?" : String(watchers)),
                watchers === 1 ? "watcher gets it" : "watchers get it",
            ),
        );
        replace(
            body,
            summary,
            total === 0
                ? h("p", { class: "banner" }, icon("check"), h("span", {}, "Everything is so already. There is nothing to import."))
                : null,
            group("New", "good", added, addedRow),
            group("Changed", "warn", changed, changedRow),
            group("Removed", "bad", removed, removedRow),
            hidden,
        );
        back.hidden = false;
        next.querySelector("span").textContent = total ? `Import ${count(total, "change")}` : "Nothing to import";
        next.disabled = total === 0;
        hidden.textContent = `${added.length} new, ${changed.length} changed, ${removed.length} removed`;
    }

    const addedRow = (name) => {
        const box = h("input", { type: "checkbox", checked: secrets.has(name), "aria-label": `${name} is a secret` });
        const value = h("div", { class: "import-value" });
        const draw = () => replace(value, changeLine(null, checked.pasted.get(name) ?? "", { isSecret: secrets.has(name) }));
        box.checked = secrets.has(name);
        box.addEventListener("change", () => {
            if (box.checked) secrets.add(name);
            else secrets.delete(name);
            draw();
        });
        draw();
        return h(
            "li",
            {},
            h("span", { class: "import-name mono" }, name),
            value,
            h("label", { class: "secret-switch" }, box, icon("lock"), h("span", {}, "secret")),
        );
    };
    const changedRow = (name) => {
        const entry = model.entries.get(name);
        return h(
            "li",
            {},
            h("span", { class: "import-name mono" }, name),
            h(
                "div",
                { class: "import-value" },
                changeLine(entry?.value ?? null, checked.pasted.get(name) ?? "", { isSecret: entry?.isSecret ?? false }),
            ),
        );
    };
    const removedRow = (name) => {
        const entry = model.entries.get(name);
        return h(
            "li",
            {},
            h("span", { class: "import-name mono" }, name),
            h("div", { class: "import-value" }, changeLine(entry?.value ?? null, null, { isSecret: entry?.isSecret ?? false })),
        );
    };

    async function apply() {
        if (
            checked.difference.removed.length &&
            !(await confirm({
                title: `Delete ${count(checked.difference.removed.length, "entry", "entries")}?`,
                text:
                    "You replace everything: entries that the text doesn't have are deleted for every application. A rollback brings them back.",
                action: "Import and delete",
                kind: "danger",
            }))
        ) return;
        try {
            const answer = await call("PUT", query({}), { text: text.value, full: true, ifMatch: checked.revision });
            finished = true;
            dialog.close();
            toast(`${count(answer.data.changes.length, "change")} imported`, {
                action: { label: "Undo", run: () => undo(checked.revision, answer.revision) },
            });
            followRollout(model.place, answer.revision);
        } catch (error) {
            if (error.status !== 412) {
                toastProblem(error);
                return;
            }
            toast("Somebody changed the environment meanwhile. This is the new difference.", { kind: "bad" });
            await compare();
        }
    }

    async function undo(revision, since) {
        try {
            const answer = await call("POST", `${environmentPath(model.place)}/rollback`, {
                body: { revision: Number(revision) },
                ifMatch: since,
            });
            toast("The import was undone");
            followRollout(model.place, answer.revision);
        } catch (error) {
            toastProblem(error);
        }
    }

    const dialog = openDialog({
        title: "Import a .env",
        subtitle: h("p", { class: "mono quiet" }, model.path),
        wide: true,
        body,
        footer: [back, h("div", { class: "spacer" }), cancel, next],
        guard: () => (!finished && text.value.trim()
            ? { title: "Leave without importing?", text: "The pasted text is forgotten.", action: "Leave" }
            : null),
    });
    edit();
}

const formats = [["dotenv", ".env", "env"], ["json", "JSON", "json"], ["yaml", "YAML", "yaml"], ["shell", "Shell", "sh"], [
    "kubernetes",
    "Kubernetes Secret",
    "yaml",
]];

/** Downloads of what is there. Without secrets unless they are asked for, which is recorded. */
export function exportMenu(model) {
    const run = async (format, extension, full) => {
        try {
            const response = await fetch(`${environmentPath(model.place)}/configuration?format=${format}`, {
                headers: { Authorization: `Bearer ${full ? session.full() : await session.view()}` },
                cache: "no-store",
            });
            if (!response.ok) throw new Error((await response.json()).detail);
            const address = URL.createObjectURL(new Blob([await response.text()], { type: "text/plain" }));
            const link = h("a", { href: address, download: `${model.place.project}-${model.place.environment}.${extension}` });
            link.click();
            setTimeout(() => URL.revokeObjectURL(address), 10_000);
            toast(full ? "Exported, with secrets; this was recorded" : "Exported, without secrets");
        } catch (error) {
            toastProblem(error);
        }
    };
    const items = (full) =>
        formats.map(([format, label, extension]) => ({
            label: full ? `${label} with secrets` : label,
            icon: full ? "lock" : "text",
            run: () => run(format, extension, full),
        }));
    return button("Export", {
        "aria-haspopup": "menu",
        "aria-expanded": "false",
        icon: icon("more"),
        kind: "ghost",
        only: true,
        onclick: (event) =>
            toggleMenu(event.currentTarget, [
                ...items(false),
                ...(session.can("read_secrets", model.place) ? [null, items(true)[0], items(true)[1]] : []),
            ]),
    });
}
