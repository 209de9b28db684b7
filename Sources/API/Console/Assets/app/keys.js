// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Keyboard shortcuts. A view adds its own while it is shown; none works while somebody types or a dialog is open.

import { h } from "../parts/dom.js";
import { openDialog } from "../parts/dialog.js";

const bindings = new Map();

/** Returns the function that takes them away. Keys as in `KeyboardEvent.key`; each has `{ label, run }`. */
export function addKeys(keys) {
    for (const [key, binding] of Object.entries(keys)) bindings.set(key, binding);
    return () => {
        for (const [key, binding] of Object.entries(keys)) if (bindings.get(key) === binding) bindings.delete(key);
    };
}

const isTyping = (target) =>
    target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

export function installKeys() {
    addKeys({ "?": { label: "This list", run: showKeys } });
    document.addEventListener("keydown", (event) => {
        const command = (event.metaKey || event.ctrlKey) && event.key.toLowerCase() === "k";
        const key = command ? "mod+k" : event.key;
        if (!command && (event.metaKey || event.ctrlKey || event.altKey || isTyping(event.target))) return;
        if (document.querySelector("dialog[open]")) return;
        const binding = bindings.get(key);
        if (!binding) return;
        event.preventDefault();
        binding.run(event);
    });
}

const names = { "mod+k": [/Mac/.test(navigator.platform) ? "⌘" : "Ctrl", "K"], ArrowDown: ["↓"], ArrowUp: ["↑"], Enter: ["↵"] };

export function showKeys() {
    const listed = [...bindings].filter(([, binding]) => binding.label);
    openDialog({
        title: "Keyboard",
        body: h(
            "dl",
            { class: "keys" },
            ...listed.map(([key, binding]) =>
                h("div", {}, h("dt", {}, ...(names[key] ?? [key]).map((part) => h("kbd", {}, part))), h("dd", {}, binding.label))
            ),
            h("div", {}, h("dt", {}, h("kbd", {}, "Esc")), h("dd", {}, "Close what is open")),
            h("div", {}, h("dt", {}, h("kbd", {}, names["mod+k"][0]), h("kbd", {}, "↵")), h("dd", {}, "Save in a form")),
        ),
    });
}
