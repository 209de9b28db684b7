// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Somebody was faster: both values, and the person decides. Nothing is overwritten before both were shown.

import { busy, button, h } from "../parts/dom.js";
import { icon } from "../parts/icons.js";
import { difference } from "../parts/difference.js";
import { actor, time } from "../parts/format.js";

const masked = () => h("p", { class: "masked" }, "••••••••");

/** What is said where the entry has gone. */
export function goneBanner(text) {
    return h("div", { class: "banner banner-warn" }, icon("alert"), h("span", {}, text));
}

/** `theirs` is the entry as it is now, `mine` the value that was refused. */
export function conflictBox(theirs, mine, { keepTheirs, overwrite }) {
    const isShown = !theirs.isSecret && theirs.value !== null;
    const takeTheirs = button("Keep theirs", { kind: "primary", onclick: keepTheirs });
    const takeMine = button("Overwrite with mine", { kind: "danger", onclick: () => busy(takeMine, overwrite) });
    return h(
        "section",
        { class: "conflict", "aria-label": "Conflict", role: "alert" },
        h(
            "header",
            {},
            icon("alert"),
            h(
                "div",
                {},
                h("h3", {}, "Somebody else changed it while you were editing"),
                h("p", {}, "Your save was refused, so nothing is lost. Which value shall it have?"),
            ),
        ),
        h(
            "div",
            { class: "conflict-sides" },
            h(
                "div",
                {},
                h("h4", {}, `Theirs · version ${theirs.version}`),
                h("p", { class: "quiet" }, time(theirs.updatedAt), ` by ${actor(theirs.updatedBy)}`),
                isShown ? h("pre", { class: "mono" }, theirs.value) : masked(),
            ),
            h(
                "div",
                {},
                h("h4", {}, "Yours · not saved"),
                h("p", { class: "quiet" }, isShown ? "compared with theirs" : "secret"),
                isShown ? h("pre", { class: "difference mono" }, difference(theirs.value, mine)) : masked(),
            ),
        ),
        h("div", { class: "actions" }, takeTheirs, takeMine),
    );
}
