// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Dialogs and drawers on the platform's own `<dialog>`: it traps the focus, closes with Escape and gives the focus back.

import { button, h } from "./dom.js";
import { icon } from "./icons.js";

let count = 0;

/**
 * Opens a dialog and returns it. `side` makes it a drawer. `body` and `footer` are nodes. `onclose` is called once, whatever closed it.
 * `guard` may return a question; then leaving asks it first.
 */
export function openDialog(
    { title, subtitle = null, body, footer = null, side = false, wide = false, onclose = null, guard = null },
) {
    count += 1;
    const id = `dialog-${count}`;
    const close = button("Close", { icon: icon("close"), kind: "ghost", only: true, onclick: () => dialog.dismiss() });
    const dialog = h(
        "dialog",
        { class: side ? "drawer" : wide ? "dialog dialog-wide" : "dialog", "aria-labelledby": id },
        h(
            "div",
            { class: "dialog-frame" },
            h("div", { class: "dialog-head" }, h("div", { class: "dialog-title" }, h("h2", { id }, title), subtitle), close),
            h("div", { class: "dialog-body" }, body),
            footer ? h("div", { class: "dialog-foot" }, footer) : null,
        ),
    );
    dialog.dismiss = async () => {
        const question = guard?.();
        if (question && !(await confirm(question))) return;
        dialog.close();
    };
    dialog.addEventListener("cancel", (event) => {
        if (event.target !== dialog) return;
        event.preventDefault();
        dialog.dismiss();
    });
    // Outside of the frame is the backdrop.
    dialog.addEventListener("pointerdown", (event) => {
        if (event.target === dialog) dialog.dismiss();
    });
    dialog.addEventListener("keydown", (event) => {
        if ((event.metaKey || event.ctrlKey) && event.key === "Enter") {
            event.preventDefault();
            dialog.querySelector("[data-submit]:not([disabled])")?.click();
        }
    });
    const opener = document.activeElement;
    const toasts = document.getElementById("toasts");
    dialog.addEventListener("close", () => {
        ([...document.querySelectorAll("dialog[open]")].at(-1) ?? document.body).append(toasts);
        dialog.remove();
        if (opener?.isConnected) opener.focus();
        onclose?.();
    });
    document.body.append(dialog);
    dialog.showModal();
    // Notices must be seen, and pressed, above whatever is open.
    dialog.append(toasts);
    dialog.querySelector("[autofocus]")?.focus();
    return dialog;
}

/** A question with two answers: true where it was confirmed. `phrase` must be typed first, for what can't be undone. */
export function confirm({ title, text, action, kind = "primary", phrase = null }) {
    return new Promise((resolve) => {
        let answer = false;
        const input = phrase
            ? h("input", {
                type: "text",
                class: "input mono",
                autocomplete: "off",
                spellcheck: "false",
                "aria-label": `Type ${phrase} to confirm`,
            })
            : null;
        const yes = button(action, {
            kind,
            "data-submit": true,
            disabled: Boolean(phrase),
            onclick: () => {
                answer = true;
                dialog.close();
            },
        });
        input?.addEventListener("input", () => (yes.disabled = input.value !== phrase));
        const no = button("Cancel", { onclick: () => dialog.close(), autofocus: !phrase });
        const dialog = openDialog({
            title,
            body: h(
                "div",
                { class: "stack" },
                h("p", { class: "prose" }, text),
                input ? h("p", { class: "prose" }, "Type ", h("code", {}, phrase), " to confirm.") : null,
                input,
            ),
            footer: [no, yes],
            onclose: () => resolve(answer),
        });
        input?.focus();
    });
}

let openMenu = null;

/** A menu under the button that opened it. Items: `{ label, icon, run, kind? }`, or null for a line. */
export function toggleMenu(opener, items) {
    if (openMenu) {
        const wasHere = openMenu.opener === opener;
        openMenu.close();
        if (wasHere) return;
    }
    const menu = h("div", { class: "menu", role: "menu", "aria-label": opener.getAttribute("aria-label") ?? opener.textContent });
    for (const item of items.filter((candidate) => candidate !== false)) {
        menu.append(
            item === null ? h("div", { class: "menu-line", role: "separator" }) : h(
                "button",
                {
                    type: "button",
                    role: item.checked === undefined ? "menuitem" : "menuitemradio",
                    "aria-checked": item.checked === undefined ? null : String(item.checked),
                    class: `menu-item ${item.kind ?? ""}`,
                    disabled: item.disabled ?? false,
                    onclick: () => {
                        close();
                        item.run();
                    },
                },
                item.icon ? icon(item.icon) : null,
                h("span", {}, item.label),
                item.checked ? icon("check") : null,
            ),
        );
    }
    const close = () => {
        menu.remove();
        opener.setAttribute("aria-expanded", "false");
        document.removeEventListener("pointerdown", outside, true);
        openMenu = null;
        if (opener.isConnected) opener.focus();
    };
    const outside = (event) => {
        if (!menu.contains(event.target) && !opener.contains(event.target)) close();
    };
    menu.addEventListener("keydown", (event) => {
        const choices = [...menu.querySelectorAll("button:not(:disabled)")];
        const at = choices.indexOf(document.activeElement);
        const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
        if (step) choices[(at + step + choices.length) % choices.length].focus();
        else if (event.key === "Home") choices[0].focus();
        else if (event.key === "End") choices.at(-1).focus();
        else if (event.key === "Escape" || event.key === "Tab") close();
        else return;
        event.preventDefault();
        event.stopPropagation();
    });
    opener.setAttribute("aria-expanded", "true");
    (opener.closest("dialog") ?? document.body).append(menu);
    const box = opener.getBoundingClientRect();
    const below = innerHeight - box.bottom > menu.offsetHeight + 8;
    menu.style.setProperty("top", `${below ? box.bottom + 4 : Math.max(8, box.top - menu.offsetHeight - 4)}px`);
    menu.style.setProperty("left", `${Math.max(8, Math.min(box.right - menu.offsetWidth, innerWidth - menu.offsetWidth - 8))}px`);
    document.addEventListener("pointerdown", outside, true);
    openMenu = { opener, close };
    menu.querySelector("button:not(:disabled)")?.focus();
}
