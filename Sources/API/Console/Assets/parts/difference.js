// Keyvane
// SPDX-License-Identifier: Apache-2.0

// What differs between two texts: by line where there are several, else by word. Removed parts are `<del>`, added ones `<ins>`.

import { h } from "./dom.js";

/** Longest common subsequence. Texts too long for its table are shown whole, one after the other. */
function compare(before, after) {
    if (before.length * after.length > 400_000) return [["del", before], ["ins", after]];
    const width = after.length + 1;
    const table = new Uint32Array((before.length + 1) * width);
    for (let i = before.length - 1; i >= 0; i -= 1) {
        for (let j = after.length - 1; j >= 0; j -= 1) {
            table[i * width + j] = before[i] === after[j]
                ? table[(i + 1) * width + j + 1] + 1
                : Math.max(table[(i + 1) * width + j], table[i * width + j + 1]);
        }
    }
    const runs = [];
    const add = (kind, part) => {
        if (runs.at(-1)?.[0] === kind) runs.at(-1)[1].push(part);
        else runs.push([kind, [part]]);
    };
    let [i, j] = [0, 0];
    while (i < before.length || j < after.length) {
        if (i < before.length && j < after.length && before[i] === after[j]) {
            add("same", before[i]);
            i += 1;
            j += 1;
        } else if (j >= after.length || (i < before.length && table[(i + 1) * width + j] >= table[i * width + j + 1])) {
            add("del", before[i]);
            i += 1;
        } else {
            add("ins", after[j]);
            j += 1;
        }
    }
    return runs;
}

const words = (text) => text.match(/[\p{L}\p{N}]+|\s+|[^\p{L}\p{N}\s]/gu) ?? [];
const lines = (text) => text.match(/[^\n]*\n|[^\n]+$/g) ?? [];

/** Nodes that show how `before` became `after`. */
export function difference(before, after) {
    const several = before.includes("\n") || after.includes("\n");
    const split = several ? lines : words;
    let runs = compare(split(before), split(after));
    const same = runs.filter(([kind]) => kind === "same").reduce((sum, [, parts]) => sum + parts.join("").trim().length, 0);
    // Two values with little in common are easier to read whole.
    if (!several && same < Math.max(before.length, after.length) / 3) runs = [["del", [before]], ["ins", [after]]];
    return runs
        .filter(([, parts]) => parts.length && parts.join("") !== "")
        .map(([kind, parts]) => (kind === "same" ? h("span", {}, parts.join("")) : h(kind, {}, parts.join(""))));
}

/** One change as a line: old value, arrow, new value. Masked where it is secret. */
export function changeLine(before, after, { isSecret = false } = {}) {
    if (isSecret) {
        return h(
            "div",
            { class: "change-line" },
            h("span", { class: "masked" }, "••••••••"),
            h("span", { class: "quiet" }, after === null ? "removed" : "secret value"),
        );
    }
    if ((before === null || before === undefined) && after === null) return h("div", { class: "change-line quiet" }, "removed");
    return h(
        "div",
        { class: "change-line mono" },
        before === null || before === undefined ? null : h("del", {}, before || "empty"),
        before !== null && before !== undefined && after !== null ? h("span", { class: "arrow", "aria-label": "becomes" }, "→") : null,
        after === null ? null : h("ins", {}, after || "empty"),
    );
}
