// Keyvane
// SPDX-License-Identifier: Apache-2.0

// The processes of the cluster, as their registry knows them, and the wish that one of them takes no new work.

import { call, get } from "../app/rest.js";
import { session } from "../app/session.js";
import { busy, button, empty, h, replace, skeleton } from "../parts/dom.js";
import { icon } from "../parts/icons.js";
import { confirm } from "../parts/dialog.js";
import { toast, toastProblem } from "../parts/toast.js";
import { count, time } from "../parts/format.js";

export function instancesView(main) {
    const content = h("div", { class: "content" }, skeleton(6));
    const facts = h("p", { class: "lede" }, "APIs and gateways that are running now.");
    let stopped = false;
    let timer = null;
    let drawn = "";
    replace(main, h("div", { class: "view-head" }, h("div", {}, h("h1", {}, "Instances"), facts)), content);
    if (!session.isOperator) {
        replace(content, empty(icon("server"), "Not for this token", "Instances need the permission admin for all workspaces."));
        return () => {};
    }

    async function look() {
        if (stopped) return;
        clearTimeout(timer);
        if (!document.hidden) {
            try {
                draw((await get("/v1/instances")).items);
            } catch (error) {
                if (stopped) return;
                drawn = "";
                replace(content, empty(icon("server"), "The registry can't be read", error.message));
            }
        }
        timer = setTimeout(look, 1_500);
    }

    function draw(items) {
        const key = JSON.stringify(items);
        if (stopped || key === drawn) return;
        const focused = document.activeElement?.dataset?.instance;
        drawn = key;
        const connections = items.filter((item) => item.role === "gateway").reduce((sum, item) => sum + item.connections, 0);
        facts.textContent = `${count(items.length, "process", "processes")} · ${count(connections, "client")} connected`;
        const groups = [["gateway", "Gateways", "Hold the clients' connections"], ["api", "APIs", "Serve REST and this console"], [
            "balancer",
            "Balancers",
            "",
        ]];
        replace(
            content,
            groups.filter(([role]) => items.some((item) => item.role === role)).map(([role, title, text]) => {
                const some = items.filter((item) => item.role === role).sort((one, other) =>
                    one.name.localeCompare(other.name, "en", { numeric: true })
                );
                return h(
                    "section",
                    { class: "instances", "aria-labelledby": `role-${role}` },
                    h("header", { class: "section-head" }, h("h2", { id: `role-${role}` }, title), h("p", { class: "quiet" }, text)),
                    h(
                        "div",
                        { class: "card table-card" },
                        h(
                            "table",
                            { class: "table" },
                            h(
                                "thead",
                                {},
                                h(
                                    "tr",
                                    {},
                                    ["Name", "State", "Address", "Connections", "Version", "Started"].map((name) =>
                                        h("th", { scope: "col" }, name)
                                    ),
                                    h("th", { scope: "col" }, h("span", { class: "visually-hidden" }, "Actions")),
                                ),
                            ),
                            h("tbody", {}, some.map((item) => row(item, some))),
                        ),
                    ),
                );
            }),
        );
        if (focused) content.querySelector(`[data-instance="${focused}"]`)?.focus();
    }

    const tones = { ready: "good", draining: "warn", starting: "plain" };

    function row(item, peers) {
        const isDraining = item.state === "draining";
        const act = button(isDraining ? "Serve again" : "Drain", {
            small: true,
            icon: icon(isDraining ? "play" : "pause"),
            "aria-label": `${isDraining ? "Let serve again" : "Drain"} ${item.name}`,
            "data-instance": item.name,
            onclick: () => busy(act, () => ask(item, isDraining, peers)),
        });
        const cell = (label, ...children) => h("td", { "data-label": label }, children);
        return h(
            "tr",
            {},
            h("th", { scope: "row", class: "mono" }, item.name),
            cell("State", h("span", { class: `badge badge-${tones[item.state]} badge-dot` }, item.state)),
            cell("Address", h("span", { class: "mono" }, item.address)),
            cell("Connections", String(item.connections)),
            cell("Version", item.version),
            cell("Started", time(item.startedAt)),
            h("td", { class: "col-actions" }, item.role === "balancer" ? null : act),
        );
    }

    async function ask(item, isDraining, peers) {
        const others = peers.filter((peer) => peer.name !== item.name && peer.state === "ready").length;
        if (!isDraining) {
            const text = item.role === "gateway"
                ? "Its clients are moved to the other gateways at a steady pace, and lose nothing."
                : "The balancers send new requests to the other APIs. What is under way is finished.";
            const agreed = await confirm({
                title: `Drain ${item.name}?`,
                text: others ? text : `${text} It is the last one that is ready: there is nobody left to take its work.`,
                action: "Drain",
                kind: others ? "primary" : "danger",
            });
            if (!agreed) return;
        }
        try {
            await call("POST", `/v1/instances/${encodeURIComponent(item.name)}/${isDraining ? "ready" : "drain"}`);
            toast(isDraining ? `${item.name} serves again` : `${item.name} was asked to drain`);
        } catch (error) {
            toastProblem(error);
        }
        await look();
    }

    look();
    return () => {
        stopped = true;
        clearTimeout(timer);
    };
}
