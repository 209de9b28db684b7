// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Go anywhere by typing a part of its name.

import { h, replace } from "../parts/dom.js";
import { icon } from "../parts/icons.js";
import { openDialog } from "../parts/dialog.js";
import { environmentLink, go } from "./router.js";
import { session } from "./session.js";
import { loadPlaces } from "../views/places.js";

export async function openPalette() {
    if (document.querySelector("dialog.palette")) return;
    const list = h("ul", { class: "palette-list", id: "palette-list", role: "listbox", "aria-label": "Places" });
    const input = h("input", {
        type: "text",
        class: "palette-input",
        placeholder: "Go to…",
        role: "combobox",
        "aria-expanded": "true",
        "aria-controls": "palette-list",
        "aria-label": "Go to an environment or page",
        autocomplete: "off",
        spellcheck: "false",
        autofocus: true,
    });
    const dialog = openDialog({ title: "Go to", body: h("div", {}, h("div", { class: "palette-search" }, icon("search"), input), list) });
    dialog.classList.add("palette");
    const pages = [
        { label: "All environments", icon: "layers", to: "#/" },
        session.can("admin") && { label: "Tokens", icon: "shield", to: "#/tokens" },
        session.can("admin") && { label: "Audit", icon: "log", to: "#/audit" },
        session.isOperator && { label: "Instances", icon: "server", to: "#/instances" },
    ].filter(Boolean);
    let choices = pages;
    let at = 0;
    const shown = () => {
        const parts = input.value.toLowerCase().split(/[\s/]+/).filter(Boolean);
        return choices.filter((choice) => parts.every((part) => choice.label.toLowerCase().includes(part))).slice(0, 60);
    };
    const pick = (choice) => {
        dialog.close();
        go(choice.to);
    };
    const draw = () => {
        const found = shown();
        at = Math.max(0, Math.min(at, found.length - 1));
        replace(
            list,
            found.map((choice, index) =>
                h(
                    "li",
                    {
                        role: "option",
                        id: `palette-${index}`,
                        "aria-selected": String(index === at),
                        onclick: () => pick(choice),
                    },
                    icon(choice.icon),
                    h("span", { class: choice.mono ? "mono" : "" }, choice.label),
                )
            ),
        );
        if (!found.length) list.append(h("li", { class: "quiet", role: "presentation" }, "Nothing has that name."));
        input.setAttribute("aria-activedescendant", found.length ? `palette-${at}` : "");
        list.children[at]?.scrollIntoView({ block: "nearest" });
    };
    input.addEventListener("input", () => {
        at = 0;
        draw();
    });
    input.addEventListener("keydown", (event) => {
        const found = shown();
        if (event.key === "ArrowDown" || event.key === "ArrowUp") {
            at = (at + (event.key === "ArrowDown" ? 1 : found.length - 1)) % Math.max(1, found.length);
            event.preventDefault();
            draw();
        } else if (event.key === "Enter" && found[at]) {
            event.preventDefault();
            pick(found[at]);
        }
    });
    draw();
    const tree = await loadPlaces().catch(() => []);
    const environments = tree.flatMap((workspace) => workspace.projects.flatMap((project) => project.environments));
    choices = [
        ...environments.map((one) => ({
            label: one.environment,
            icon: "layers",
            mono: true,
            to: environmentLink({ workspace: one.workspace, project: one.project, environment: one.slug }),
        })),
        ...pages,
    ];
    draw();
}
