// Keyvane
// SPDX-License-Identifier: Apache-2.0

// The frame around every view: navigation, the open environment, who is signed in. It owns the environment model, which outlives a change
// between views of the same environment, and the view that is mounted.

import { announce, h, replace } from "../parts/dom.js";
import { icon, mark } from "../parts/icons.js";
import { toggleMenu } from "../parts/dialog.js";
import { EnvironmentModel } from "./environment.js";
import { addKeys, showKeys } from "./keys.js";
import { openPalette } from "./palette.js";
import { environmentLink, go, recentPlace, rememberPlace, route } from "./router.js";
import { session } from "./session.js";
import { actor } from "../parts/format.js";
import { signInView } from "../views/signin.js";
import { placesView } from "../views/places.js";
import { entriesView } from "../views/entries.js";
import { historyView } from "../views/history.js";
import { watchersView } from "../views/watchers.js";
import { instancesView } from "../views/instances.js";
import { tokensView } from "../views/tokens.js";
import { auditView } from "../views/audit.js";

const views = {
    places: { title: "Environments", icon: "layers", open: placesView },
    entries: { title: "Entries", icon: "text", open: entriesView, inEnvironment: true },
    history: { title: "History", icon: "history", open: historyView, inEnvironment: true },
    watchers: { title: "Watchers", icon: "people", open: watchersView, inEnvironment: true },
    tokens: { title: "Tokens", icon: "shield", open: tokensView, needs: () => session.can("admin") },
    audit: { title: "Audit", icon: "log", open: auditView, needs: () => session.can("admin") },
    instances: { title: "Instances", icon: "server", open: instancesView, needs: () => session.isOperator },
};

const app = document.getElementById("app");
let model = null;
let unmount = () => {};
let shown = null;

export function startShell() {
    addEventListener("hashchange", draw);
    session.addEventListener("change", () => {
        leave();
        draw();
    });
    addKeys({
        "mod+k": { label: "Go to an environment or page", run: openPalette },
        g: { run: openPalette },
    });
    draw();
}

function leave() {
    unmount();
    unmount = () => {};
    model?.end();
    model = null;
    shown = null;
}

function draw() {
    for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
    if (!session.isSignedIn) {
        document.title = "Sign in · Keyvane";
        document.body.dataset.signedIn = "false";
        replace(app, signInView());
        return;
    }
    document.body.dataset.signedIn = "true";
    const at = route();
    const view = views[at.view];
    unmount();
    if (at.place && (!samePlace(model?.place, at.place) || model.isOver)) {
        model?.end();
        model = new EnvironmentModel(at.place);
        rememberPlace(at.place);
    } else if (!at.place && model) {
        model.end();
        model = null;
    }
    const place = at.place ?? recentPlace();
    const main = h("main", { id: "main", tabindex: "-1" });
    replace(
        app,
        h(
            "div",
            { class: "shell" },
            sidebar(at.view, place),
            h("div", { class: "page" }, topBar(view, at.place), main),
            bottomBar(at.view, place),
        ),
    );
    document.title = at.place ? `${view.title} · ${at.place.project}/${at.place.environment} · Keyvane` : `${view.title} · Keyvane`;
    if (shown !== null && shown !== location.hash) {
        main.focus({ preventScroll: true });
        announce(view.title);
        scrollTo(0, 0);
    }
    shown = location.hash;
    unmount = view.open(main, { model, place: at.place, workspace: at.workspace }) ?? (() => {});
}

const samePlace = (one, other) =>
    one && other && one.workspace === other.workspace && one.project === other.project && one.environment === other.environment;

const allowed = () => Object.entries(views).filter(([, view]) => !view.needs || view.needs());

function link(name, view, place, current) {
    const href = view.inEnvironment ? environmentLink(place, name) : `#/${name === "places" ? "" : name}`;
    return h(
        "a",
        { class: "nav-link", href, "aria-current": current === name ? "page" : null },
        icon(view.icon),
        h("span", {}, view.title),
    );
}

function sidebar(current, place) {
    const inEnvironment = allowed().filter(([, view]) => view.inEnvironment);
    const others = allowed().filter(([, view]) => !view.inEnvironment);
    return h(
        "nav",
        { class: "sidebar", "aria-label": "Main" },
        h("a", { class: "brand", href: "#/" }, mark(26), h("span", {}, "Keyvane")),
        h(
            "button",
            {
                type: "button",
                class: "place-button",
                onclick: openPalette,
                "aria-keyshortcuts": "Control+K Meta+K",
                title: "Choose an environment",
            },
            h(
                "span",
                { class: "place-text" },
                place
                    ? h("span", { class: "place-parent" }, `${place.workspace} / ${place.project}`)
                    : h("span", { class: "place-parent" }, "No environment"),
                h("strong", {}, place ? place.environment : "Choose one"),
            ),
            icon("sort"),
        ),
        place
            ? h(
                "div",
                { class: "nav-group" },
                h("p", { class: "nav-label" }, "Environment"),
                ...inEnvironment.map(([name, view]) => link(name, view, place, current)),
            )
            : null,
        h(
            "div",
            { class: "nav-group" },
            h("p", { class: "nav-label" }, "Cluster"),
            ...others.map(([name, view]) => link(name, view, place, current)),
        ),
        h("div", { class: "sidebar-foot" }, accountButton()),
    );
}

/** On phones. */
function bottomBar(current, place) {
    const names = place ? ["places", "entries", "history", "watchers", "instances"] : ["places", "tokens", "audit", "instances"];
    return h(
        "nav",
        { class: "bottom-bar", "aria-label": "Views" },
        ...allowed().filter(([name]) => names.includes(name)).map(([name, view]) => link(name, view, place, current)),
    );
}

function accountButton() {
    const identity = session.identity;
    const description = identity.description && !identity.description.startsWith("root token")
        ? identity.description
        : identity.id === "root"
        ? "Root token"
        : "Token";
    const open = (event) => {
        const appearance = globalThis.keyvaneAppearance;
        const choose = (choice, label, name) => ({
            label,
            icon: name,
            checked: appearance.choice === choice,
            run: () => (appearance.choice = choice),
        });
        toggleMenu(event.currentTarget, [
            choose("light", "Light", "sun"),
            choose("dark", "Dark", "moon"),
            choose("system", "Like the system", "screen"),
            null,
            session.can("admin") && { label: "Tokens", icon: "shield", run: () => go("#/tokens") },
            session.can("admin") && { label: "Audit", icon: "log", run: () => go("#/audit") },
            { label: "Keyboard shortcuts", icon: "keyboard", run: showKeys },
            { label: "Sign out", icon: "leave", run: () => session.signOut() },
        ]);
    };
    return h(
        "button",
        {
            type: "button",
            class: "account",
            onclick: open,
            "aria-haspopup": "menu",
            "aria-expanded": "false",
            "aria-label": `Account: ${description}`,
        },
        h("span", { class: "avatar", "aria-hidden": "true" }, actor(identity.id).slice(0, 2).toUpperCase()),
        h(
            "span",
            { class: "account-text" },
            h("span", { class: "account-name" }, description),
            h("span", { class: "account-id" }, identity.id),
        ),
        icon("sort"),
    );
}

function topBar(view, place) {
    const crumbs = place
        ? h(
            "nav",
            { class: "crumbs", "aria-label": "Place" },
            h(
                "ol",
                {},
                ...[place.workspace, place.project].map((part) => h("li", {}, h("a", { href: "#/" }, part))),
                h("li", {}, h("a", { href: environmentLink(place), "aria-current": "location" }, place.environment)),
            ),
        )
        : h("div", { class: "crumbs" }, h("ol", {}, h("li", {}, "Cluster"), h("li", {}, view.title)));
    const bar = h(
        "header",
        { class: "top-bar" },
        h(
            "button",
            { type: "button", class: "phone-place", onclick: openPalette, "aria-label": "Choose an environment" },
            mark(28),
            h(
                "span",
                { class: "place-text" },
                place ? h("span", { class: "place-parent" }, `${place.workspace} / ${place.project}`) : null,
                h("strong", {}, place ? place.environment : "Keyvane"),
            ),
            icon("sort"),
        ),
        crumbs,
        h("div", { class: "spacer" }),
        place ? connection() : null,
        h("div", { class: "phone-account" }, accountButton()),
    );
    return bar;
}

/** Live, or what it waits for. */
function connection() {
    const states = { connecting: "Connecting", live: "Live", reconnecting: "Reconnecting" };
    const text = h("span", {}, states[model.connection]);
    const pill = h(
        "div",
        { class: "connection", role: "status", dataset: { state: model.connection } },
        h("span", { class: "dot", "aria-hidden": "true" }),
        text,
    );
    model.addEventListener("connection", () => {
        if (!pill.isConnected) return;
        pill.dataset.state = model.connection;
        text.textContent = states[model.connection];
        pill.title = model.gateway ? `Over ${model.gateway}` : "";
    });
    pill.title = model.gateway ? `Over ${model.gateway}` : "";
    return pill;
}
