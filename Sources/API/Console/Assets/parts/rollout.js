// Keyvane
// SPDX-License-Identifier: Apache-2.0

// After a save: which watchers have applied it, live, until all have or nothing moves any more. Needs the right to see watchers.

import { environmentPath, get } from "../app/rest.js";
import { session } from "../app/session.js";
import { button, h, replace } from "./dom.js";
import { icon } from "./icons.js";
import { count } from "./format.js";

/** How far the watchers are with a revision. */
export function progress(watchers, revision) {
    const applied = watchers.byRevision.filter((step) => step.revision >= revision).reduce((sum, step) => sum + step.watchers, 0);
    const failed = watchers.failed.filter((failure) => failure.revision >= revision).length;
    return { applied, failed, acknowledging: watchers.acknowledging, silent: watchers.silent, total: watchers.total };
}

let current = null;
session.addEventListener("change", () => current?.stop());

export function followRollout(place, revision) {
    if (!session.can("admin", place) || !revision) return;
    current?.stop();
    const bar = h("div", { class: "rollout-bar" }, h("span", {}), h("span", {}));
    const text = h("p", { class: "rollout-text", "aria-live": "polite" }, "Looking for watchers…");
    const title = h("h2", {}, `Revision ${revision}`);
    const card = h(
        "section",
        { class: "rollout", "aria-label": "Who has applied the change" },
        h(
            "header",
            {},
            h("span", { class: "rollout-icon" }, icon("bolt")),
            title,
            button("Close", {
                icon: icon("close"),
                kind: "ghost",
                only: true,
                small: true,
                onclick: () => follower.stop(),
            }),
        ),
        bar,
        text,
    );
    let timer = null;
    const began = Date.now();
    let settledAt = null;
    const follower = {
        stop() {
            clearTimeout(timer);
            card.remove();
            if (current === follower) current = null;
        },
    };
    current = follower;
    const look = async () => {
        try {
            const state = progress(await get(`${environmentPath(place)}/watchers`), revision);
            show(state);
            const settled = state.applied + state.failed >= state.acknowledging;
            if (settled) settledAt ??= Date.now();
            else settledAt = null;
        } catch (error) {
            replace(
                text,
                error.status === 503
                    ? "Redis is away, so nobody can tell who has applied it. It is committed, and delivered all the same."
                    : error.message,
            );
        }
        if (current !== follower) return;
        if ((settledAt && Date.now() - settledAt > 6_000) || Date.now() - began > 60_000) follower.stop();
        else timer = setTimeout(look, settledAt ? 1_500 : 350);
    };
    const show = (state) => {
        const share = (part) => `${state.acknowledging ? (part / state.acknowledging) * 100 : 0}%`;
        bar.firstChild.style.setProperty("width", state.acknowledging ? share(state.applied) : "100%");
        bar.lastChild.style.setProperty("width", share(state.failed));
        const done = state.applied >= state.acknowledging && state.failed === 0;
        card.dataset.state = state.failed ? "failed" : done ? "done" : "moving";
        const sentence = state.acknowledging
            ? `Applied by ${state.applied} of ${count(state.acknowledging, "application")}`
            : state.total
            ? `Sent to ${count(state.total, "watcher")}`
            : "Saved. Nobody is watching yet";
        const rest = [
            state.failed ? `${state.failed} failed` : null,
            state.acknowledging && state.silent ? `sent to ${state.silent} more that don't report back` : null,
        ].filter(Boolean);
        const line = [sentence, ...rest].join(" · ");
        if (text.textContent !== line) text.textContent = line;
    };
    document.body.append(card);
    look();
}
