// Keyvane
// SPDX-License-Identifier: Apache-2.0

// The way in: a token, checked by asking the server who it is.

import { busy, button, field, h } from "../parts/dom.js";
import { icon, mark } from "../parts/icons.js";
import { session } from "../app/session.js";

export function signInView() {
    const input = h("input", {
        type: "password",
        class: "input mono",
        name: "token",
        autocomplete: "off",
        spellcheck: "false",
        autocapitalize: "off",
        placeholder: "kv_…",
        required: true,
        autofocus: true,
    });
    const show = button("Show the token", {
        icon: icon("eye"),
        kind: "ghost",
        only: true,
        onclick: () => (input.type = input.type === "password" ? "text" : "password"),
    });
    const tokenField = field("Token", input, {
        hint: "keyvane dev prints one; keyvane token create makes more. It stays in this tab and is forgotten when you close it.",
    });
    input.after(show);
    const submit = button("Sign in", { kind: "primary" });
    submit.type = "submit";
    const form = h("form", { class: "signin-form" }, tokenField, submit);
    form.addEventListener("submit", (event) => {
        event.preventDefault();
        const token = input.value.trim();
        if (!token) {
            tokenField.refuse("Paste a token first.");
            return;
        }
        busy(submit, async () => {
            try {
                await session.signIn(token);
            } catch (error) {
                tokenField.refuse(error.status === 401 ? "This token is unknown, revoked or expired." : error.message);
            }
        });
    });
    const reason = session.failure;
    return h(
        "main",
        { class: "signin", id: "main", tabindex: "-1" },
        h(
            "div",
            { class: "signin-card" },
            h(
                "div",
                { class: "signin-brand" },
                mark(40),
                h("h1", {}, "Sign in to Keyvane"),
                h("p", {}, "Configuration that reaches every running instance."),
            ),
            reason
                ? h(
                    "p",
                    { class: "banner banner-warn", role: "alert" },
                    icon("alert"),
                    typeof reason === "string" ? reason : reason.message,
                )
                : null,
            form,
        ),
    );
}
