// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Tokens: who may do what where. A new one's text is shown once, and only by the answer that made it.

import { all, call } from "../app/rest.js";
import { session } from "../app/session.js";
import { addKeys } from "../app/keys.js";
import { busy, button, empty, field, h, replace, skeleton } from "../parts/dom.js";
import { icon } from "../parts/icons.js";
import { confirm, openDialog } from "../parts/dialog.js";
import { copy, toast, toastProblem } from "../parts/toast.js";
import { actor, count, time } from "../parts/format.js";
import { loadPlaces } from "./places.js";

const permissions = {
    read: "Read entries; secrets without their values",
    read_secrets: "Read the values of secrets",
    write: "Change entries, import, roll back",
    admin: "Places, tokens, audit, watchers",
};

const lifetimes = [["Never", null], ["1 day", 1], ["7 days", 7], ["30 days", 30], ["90 days", 90], ["1 year", 365]];

const scopeText = (grant) =>
    [grant.workspace === "*" ? "everything" : grant.workspace, grant.project, grant.environment].filter(Boolean).join("/");

export function tokensView(main) {
    const content = h("div", { class: "content" }, skeleton(6));
    const ended = new AbortController();
    replace(
        main,
        h(
            "div",
            { class: "view-head" },
            h(
                "div",
                {},
                h("h1", {}, "Tokens"),
                h("p", { class: "lede" }, "What applications and people sign in with. Only a fingerprint is stored."),
            ),
            h(
                "div",
                { class: "actions" },
                session.can("admin") ? button("New token", { icon: icon("plus"), kind: "primary", onclick: create }) : null,
            ),
        ),
        content,
    );

    async function load() {
        try {
            draw(await all("/v1/tokens", { signal: ended.signal, full: true }));
        } catch (error) {
            if (error.name !== "AbortError") {
                replace(
                    content,
                    empty(icon("shield"), error.status === 403 ? "Not for this token" : "They could not be read", error.message),
                );
            }
        }
    }

    function draw(tokens) {
        if (!tokens.length) {
            replace(
                content,
                empty(
                    icon("shield"),
                    "No token yet",
                    "Give each application one of its own, with no more than it needs.",
                    button("New token", { icon: icon("plus"), kind: "primary", onclick: create }),
                ),
            );
            return;
        }
        const cell = (label, ...children) => h("td", { "data-label": label }, children);
        replace(
            content,
            h(
                "div",
                { class: "card table-card" },
                h(
                    "table",
                    { class: "table tokens" },
                    h(
                        "thead",
                        {},
                        h(
                            "tr",
                            {},
                            ["Token", "May", "Last used", "Expires", "Made"].map((name) => h("th", { scope: "col" }, name)),
                            h("th", { scope: "col" }, h("span", { class: "visually-hidden" }, "Actions")),
                        ),
                    ),
                    h(
                        "tbody",
                        {},
                        [...tokens].sort((one, other) => (one.createdAt < other.createdAt ? 1 : -1)).map((token) => {
                            const isExpired = token.expiresAt && new Date(token.expiresAt) < new Date();
                            const isOwn = token.id === session.identity.id;
                            return h(
                                "tr",
                                { class: isExpired ? "is-disabled" : "" },
                                h(
                                    "th",
                                    { scope: "row" },
                                    h(
                                        "span",
                                        { class: "token-name" },
                                        token.description || "Without description",
                                        isOwn ? h("span", { class: "badge badge-good" }, "yours") : null,
                                    ),
                                    h("code", { class: "slug" }, token.id),
                                ),
                                cell(
                                    "May",
                                    token.grants.map((grant) =>
                                        h(
                                            "div",
                                            { class: "grant" },
                                            h("code", {}, scopeText(grant)),
                                            grant.permissions.map((one) => h("span", { class: "badge" }, one.replace("_", " "))),
                                            grant.names ? h("span", { class: "quiet mono" }, grant.names.join(", ")) : null,
                                        )
                                    ),
                                ),
                                cell("Last used", token.lastUsedAt ? time(token.lastUsedAt) : h("span", { class: "quiet" }, "never")),
                                cell(
                                    "Expires",
                                    token.expiresAt
                                        ? [isExpired ? "expired " : "", time(token.expiresAt)]
                                        : h("span", { class: "quiet" }, "never"),
                                ),
                                cell("Made", time(token.createdAt), h("span", { class: "by" }, actor(token.createdBy))),
                                h(
                                    "td",
                                    { class: "col-actions" },
                                    button("Revoke", {
                                        small: true,
                                        icon: icon("trash"),
                                        "aria-label": `Revoke ${token.description || token.id}`,
                                        onclick: () => revoke(token),
                                    }),
                                ),
                            );
                        }),
                    ),
                ),
            ),
        );
    }

    async function revoke(token) {
        const isOwn = token.id === session.identity.id;
        if (
            !(await confirm({
                title: `Revoke ${token.description || token.id}?`,
                text: `${
                    isOwn ? "You are signed in with it. " : ""
                }Everything that uses it is refused and disconnected within a second. This can't be undone.`,
                action: "Revoke",
                kind: "danger",
            }))
        ) return;
        try {
            await call("DELETE", `/v1/tokens/${token.id}`, { full: true });
            toast(`${token.description || token.id} was revoked`);
            load();
        } catch (error) {
            toastProblem(error);
        }
    }

    async function create() {
        const description = h("input", {
            type: "text",
            class: "input",
            placeholder: "CI of the web team",
            autocomplete: "off",
            maxlength: 200,
            autofocus: true,
        });
        const scope = h("select", { class: "input" }, session.isOperator ? h("option", { value: "*" }, "Everything") : null);
        const names = h("input", {
            type: "text",
            class: "input mono",
            placeholder: "FEATURE_*, DB_HOST",
            autocomplete: "off",
            spellcheck: "false",
        });
        const expiry = h(
            "select",
            { class: "input" },
            lifetimes.map(([label, days]) => h("option", { value: days ?? "", selected: days === 90 }, label)),
        );
        const boxes = Object.entries(permissions).map(([name, text]) =>
            h(
                "label",
                { class: "check" },
                h("input", { type: "checkbox", value: name, checked: name === "read" }),
                h("span", {}, h("strong", {}, name.replace("_", " ")), h("small", {}, text)),
            )
        );
        const descriptionField = field("Description", description, { hint: "Who or what uses it." });
        const fault = h("p", { class: "field-fault", role: "alert", hidden: true });
        const refuse = (text) => {
            fault.textContent = text;
            fault.hidden = false;
        };
        const make = button("Make token", {
            kind: "primary",
            "data-submit": true,
            onclick: () =>
                busy(make, async () => {
                    const [workspace, project, environment] = scope.value.split("/");
                    const chosen = boxes.map((box) => box.querySelector("input")).filter((box) => box.checked).map((box) => box.value);
                    if (!chosen.length) return refuse("Choose at least one permission.");
                    const globs = names.value.split(/[\s,]+/).filter(Boolean);
                    const grant = {
                        workspace,
                        ...(project ? { project } : {}),
                        ...(environment ? { environment } : {}),
                        ...(globs.length ? { names: globs } : {}),
                        permissions: chosen,
                    };
                    const expiresAt = expiry.value ? new Date(Date.now() + Number(expiry.value) * 86_400_000).toISOString() : null;
                    try {
                        const { data } = await call("POST", "/v1/tokens", {
                            full: true,
                            body: { description: description.value.trim(), grants: [grant], ...(expiresAt ? { expiresAt } : {}) },
                        });
                        dialog.close();
                        showOnce(data);
                        load();
                    } catch (error) {
                        refuse(error.text);
                    }
                    return undefined;
                }),
        });
        const dialog = openDialog({
            title: "New token",
            side: true,
            body: h(
                "form",
                {
                    class: "stack",
                    onsubmit: (event) => {
                        event.preventDefault();
                        make.click();
                    },
                },
                descriptionField,
                field("Where", scope),
                h("fieldset", { class: "checks" }, h("legend", {}, "May"), boxes),
                field("Only these names", names, { optional: true, hint: "Names or patterns, separated by commas. Empty is all of them." }),
                field("Expires", expiry),
                fault,
            ),
            footer: [button("Cancel", { onclick: () => dialog.close() }), make],
        });
        try {
            for (const workspace of await loadPlaces({ signal: ended.signal })) {
                scope.append(h("option", { value: workspace.slug }, workspace.slug));
                for (const project of workspace.projects) {
                    scope.append(h("option", { value: `${workspace.slug}/${project.slug}` }, `${workspace.slug} / ${project.slug}`));
                    for (const one of project.environments) {
                        scope.append(h("option", { value: one.environment }, `${workspace.slug} / ${project.slug} / ${one.slug}`));
                    }
                }
            }
            // The narrowest first: who wants more says so.
            const last = scope.querySelector("option:last-child");
            if (last) scope.value = [...scope.options].find((option) => option.value.split("/").length === 3)?.value ?? last.value;
        } catch (error) {
            toastProblem(error);
        }
    }

    function showOnce(token) {
        const text = h("input", {
            type: "text",
            class: "input mono",
            readonly: true,
            value: token.token,
            "aria-label": "The new token",
            onfocus: (event) => event.target.select(),
        });
        const dialog = openDialog({
            title: "Copy the token now",
            subtitle: h("p", { class: "quiet" }, "It is shown this once: only its fingerprint is stored."),
            body: h(
                "div",
                { class: "stack" },
                h(
                    "div",
                    { class: "once" },
                    text,
                    button("Copy", { icon: icon("copy"), kind: "primary", onclick: () => copy(token.token, "Token") }),
                ),
                h(
                    "p",
                    { class: "quiet" },
                    `${token.description || token.id} · ${count(token.grants[0].permissions.length, "permission")} on ${
                        scopeText(token.grants[0])
                    }`,
                ),
            ),
            footer: button("Done", { onclick: () => dialog.close() }),
        });
        text.focus();
    }

    load();
    const takeKeys = session.can("admin") ? addKeys({ n: { label: "New token", run: create } }) : () => {};
    return () => {
        ended.abort();
        takeKeys();
    };
}
