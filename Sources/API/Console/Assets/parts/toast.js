// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Notices at the edge of the page. They are read aloud, wait while a pointer or the focus is on them, and may offer one action.

import { button, h } from "./dom.js";
import { icon } from "./icons.js";

export function toast(text, { kind = "good", action = null, seconds = action ? 10 : 5 } = {}) {
    const element = h("div", { class: `toast toast-${kind}`, role: kind === "bad" ? "alert" : "status" });
    let timer = null;
    const remove = () => {
        clearTimeout(timer);
        element.remove();
    };
    const start = () => {
        clearTimeout(timer);
        timer = setTimeout(remove, seconds * 1000);
    };
    element.addEventListener("pointerenter", () => clearTimeout(timer));
    element.addEventListener("pointerleave", start);
    element.addEventListener("focusin", () => clearTimeout(timer));
    element.addEventListener("focusout", start);
    element.append(
        icon(kind === "bad" ? "alert" : "check"),
        h("p", {}, text),
        action
            ? button(action.label, {
                kind: "ghost",
                small: true,
                onclick: () => {
                    remove();
                    action.run();
                },
            })
            : "",
        button("Dismiss", { icon: icon("close"), kind: "ghost", only: true, small: true, onclick: remove }),
    );
    const place = document.getElementById("toasts");
    place.append(element);
    while (place.children.length > 4) place.firstElementChild.remove();
    start();
    return remove;
}

/** For what failed: the server's own words, which name the remedy. */
export function toastProblem(error) {
    if (error?.name === "AbortError") return;
    toast(error?.text ?? error?.message ?? "Something went wrong.", { kind: "bad", seconds: 12 });
}

/** Copies and says so. Values that are secret are never shown by the notice. */
export async function copy(text, what) {
    try {
        await navigator.clipboard.writeText(text);
        toast(`${what} copied`);
    } catch {
        toast("The browser doesn't let this page use the clipboard. It does over https and on localhost.", { kind: "bad" });
    }
}
