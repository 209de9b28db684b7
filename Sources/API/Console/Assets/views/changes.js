// Keyvane
// SPDX-License-Identifier: Apache-2.0

// What is done to an entry, from the table or from its drawer. Each says what it did, offers the way back, and shows who has applied it.

import { call, entryPath } from "../app/rest.js";
import { busy, button, field, h } from "../parts/dom.js";
import { confirm, openDialog } from "../parts/dialog.js";
import { toast, toastProblem } from "../parts/toast.js";
import { followRollout } from "../parts/rollout.js";

/** What a mutation answered goes into the model at once; the watch brings it to everybody else. */
export function taken(model, answer, text, undo = null) {
    if (answer.data?.name) model.put(answer.data);
    toast(text, { action: undo ? { label: "Undo", run: undo } : null });
    followRollout(model.place, answer.revision);
}

/** Back to a version, only if nobody has changed it since. */
export function undoTo(model, entry, version, since) {
    return async () => {
        try {
            const answer = await call("POST", `${entryPath(model.place, entry)}/rollback`, { body: { version }, ifMatch: since });
            taken(model, answer, `${entry.name} is back as it was`);
        } catch (error) {
            toastProblem(error);
        }
    };
}

export async function toggleEntry(model, entry) {
    try {
        const answer = await call("POST", `${entryPath(model.place, entry)}/${entry.enabled ? "disable" : "enable"}`, {
            ifMatch: entry.version,
        });
        taken(model, answer, `${entry.name} is ${answer.data.enabled ? "enabled" : "disabled"}`, () => toggleEntry(model, answer.data));
    } catch (error) {
        toastProblem(error);
    }
}

export async function deleteEntry(model, entry) {
    try {
        const answer = await call("DELETE", entryPath(model.place, entry), { ifMatch: entry.version });
        model.remove(entry.name, Number(answer.etag) || entry.version + 1, entry.isSecret);
        taken(model, answer, `${entry.name} was deleted`, async () => {
            try {
                taken(
                    model,
                    await call("POST", `${entryPath(model.place, entry)}/rollback`, { body: { version: entry.version } }),
                    `${entry.name} is back`,
                );
            } catch (error) {
                toastProblem(error);
            }
        });
        return true;
    } catch (error) {
        toastProblem(error);
        return false;
    }
}

/** Asks for the new name. `done` is called when it has it. */
export function renameEntry(model, entry, done) {
    const input = h("input", {
        type: "text",
        class: "input mono",
        value: entry.name,
        maxlength: 255,
        autocomplete: "off",
        spellcheck: "false",
        autofocus: true,
    });
    const inputField = field("New name", input);
    const apply = button("Rename", {
        kind: "primary",
        "data-submit": true,
        onclick: () =>
            busy(apply, async () => {
                try {
                    const answer = await call("POST", `${entryPath(model.place, entry)}/rename`, {
                        body: { name: input.value.trim() },
                        ifMatch: entry.version,
                        full: true,
                    });
                    asked.close();
                    done();
                    model.remove(entry.name, entry.version + 1, entry.isSecret);
                    taken(model, answer, `${entry.name} is now ${answer.data.name}`);
                } catch (error) {
                    inputField.refuse(error.text);
                }
            }),
    });
    const asked = openDialog({
        title: `Rename ${entry.name}`,
        body: h("form", {
            onsubmit: (event) => {
                event.preventDefault();
                apply.click();
            },
        }, inputField),
        footer: [button("Cancel", { onclick: () => asked.close() }), apply],
    });
    input.select();
}

/** Asks first: it can't be taken back. */
export async function sealEntry(model, entry, done) {
    if (
        !(await confirm({
            title: `Make ${entry.name} a secret?`,
            text: "From now on it is encrypted and hidden. A secret can't be made a variable again.",
            action: "Seal",
        }))
    ) return;
    try {
        const answer = await call("POST", `${entryPath(model.place, entry)}/seal`, { ifMatch: entry.version });
        done();
        taken(model, answer, `${entry.name} is a secret now`);
    } catch (error) {
        toastProblem(error);
    }
}
