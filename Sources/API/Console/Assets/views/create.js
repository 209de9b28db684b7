// Keyvane
// SPDX-License-Identifier: Apache-2.0

// A new entry, in a drawer.

import { call, entryPath } from "../app/rest.js";
import { busy, button, field, h, valueArea } from "../parts/dom.js";
import { icon } from "../parts/icons.js";
import { openDialog } from "../parts/dialog.js";
import { looksSecret } from "../parts/format.js";
import { taken } from "./changes.js";

export function openNewEntry(model) {
    const name = h("input", {
        type: "text",
        class: "input mono",
        placeholder: "DATABASE_URL",
        maxlength: 255,
        autocomplete: "off",
        spellcheck: "false",
        autocapitalize: "off",
        autofocus: true,
    });
    const value = valueArea("", "Value");
    const note = h("input", { type: "text", class: "input", autocomplete: "off", maxlength: 4096 });
    let chosen = null;
    const kindButtons = [false, true].map((isSecret) =>
        h(
            "label",
            { class: "choice" },
            h("input", { type: "radio", name: "kind", checked: !isSecret, onchange: () => (chosen = isSecret) }),
            icon(isSecret ? "lock" : "text"),
            h(
                "span",
                {},
                h("strong", {}, isSecret ? "Secret" : "Variable"),
                h("small", {}, isSecret ? "Encrypted, hidden until revealed" : "Plain text"),
            ),
        )
    );
    const radios = kindButtons.map((label) => label.querySelector("input"));
    const nameField = field("Name", name);
    const valueField = field("Value", value);
    // A suggestion, until the person has chosen.
    const suggest = () => {
        if (chosen === null) radios[looksSecret(name.value, value.value) ? 1 : 0].checked = true;
    };
    name.addEventListener("input", () => {
        nameField.refuse(null);
        suggest();
    });
    value.addEventListener("input", suggest);
    const save = button("Add entry", {
        kind: "primary",
        "data-submit": true,
        onclick: () =>
            busy(save, async () => {
                const entry = { name: name.value.trim(), isSecret: radios[1].checked };
                if (!/^[A-Za-z_][A-Za-z0-9_.-]{0,254}$/.test(entry.name)) {
                    nameField.refuse(
                        entry.name ? "A name starts with a letter or _, and goes on with letters, digits, _, . or -." : "Give it a name.",
                    );
                    return;
                }
                try {
                    const answer = await call("PUT", entryPath(model.place, entry), {
                        ifAbsent: true,
                        body: { value: value.value, ...(note.value ? { note: note.value } : {}) },
                    });
                    saved = true;
                    dialog.close();
                    taken(model, answer, `${entry.name} was added`);
                } catch (error) {
                    if (error.status === 412 || error.code === "kind_conflict") nameField.refuse("There is an entry of this name already.");
                    else (error.errors?.some((fault) => fault.pointer === "/value") ? valueField : nameField).refuse(error.text);
                }
            }),
    });
    let saved = false;
    const dialog = openDialog({
        title: "New entry",
        subtitle: h("p", { class: "mono quiet" }, model.path),
        side: true,
        body: h(
            "form",
            {
                class: "stack",
                onsubmit: (event) => {
                    event.preventDefault();
                    save.click();
                },
            },
            nameField,
            h("fieldset", { class: "choices" }, h("legend", {}, "Kind"), kindButtons),
            valueField,
            field("Note", note, { optional: true, hint: "Why it has this value, for whoever reads it next." }),
        ),
        footer: [button("Cancel", { onclick: () => dialog.dismiss() }), save],
        guard: () => (!saved && value.value ? { title: "Leave without adding?", text: "What you typed is lost.", action: "Leave" } : null),
    });
}
