// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Workspaces, their projects and environments: to open one, to make one, to take one away.

import { all, call } from "../app/rest.js";
import { session } from "../app/session.js";
import { environmentLink, go } from "../app/router.js";
import { busy, button, empty, field, h, replace, skeleton } from "../parts/dom.js";
import { icon } from "../parts/icons.js";
import { confirm, openDialog, toggleMenu } from "../parts/dialog.js";
import { toast, toastProblem } from "../parts/toast.js";
import { time } from "../parts/format.js";
import { addKeys } from "../app/keys.js";

/** `[{ …workspace, projects: [{ …project, environments }] }]`. */
export async function loadPlaces(options) {
    const workspaces = await all("/v1/workspaces", options);
    return Promise.all(workspaces.map(async (workspace) => {
        const projects = await all(`/v1/workspaces/${workspace.slug}/projects`, options);
        return {
            ...workspace,
            projects: await Promise.all(
                projects.map(async (project) => ({
                    ...project,
                    environments: await all(`/v1/projects/${workspace.slug}/${project.slug}/environments`, options),
                })),
            ),
        };
    }));
}

const kinds = {
    workspace: { title: "New workspace", parent: "", example: "acme", hint: "A team or a company." },
    project: { title: "New project", example: "web", hint: "One application or service." },
    environment: { title: "New environment", example: "production", hint: "Where it runs: each has its own entries and its own history." },
};

export function placesView(main) {
    const ended = new AbortController();
    const content = h("div", { class: "places" }, skeleton(8));
    const canCreate = session.isOperator;
    replace(
        main,
        h(
            "div",
            { class: "view-head" },
            h(
                "div",
                {},
                h("h1", {}, "Environments"),
                h("p", { class: "lede" }, "Each environment is one set of entries, and every running instance that watches it."),
            ),
            h(
                "div",
                { class: "actions" },
                canCreate
                    ? button("New workspace", { icon: icon("plus"), kind: "primary", onclick: () => create("workspace", {}, load) })
                    : null,
            ),
        ),
        content,
    );

    async function load() {
        try {
            const tree = await loadPlaces({ signal: ended.signal });
            draw(tree);
        } catch (error) {
            if (error.name !== "AbortError") {
                replace(content, empty(icon("alert"), "Nothing could be read", error.message, button("Try again", { onclick: load })));
            }
        }
    }

    function draw(tree) {
        if (!tree.length) {
            replace(
                content,
                empty(
                    icon("layers"),
                    "No workspace yet",
                    canCreate
                        ? "Make a workspace for your team, then a project in it, then an environment."
                        : "This token may not know of any. Ask who gave it to you.",
                    canCreate
                        ? button("New workspace", { icon: icon("plus"), kind: "primary", onclick: () => create("workspace", {}, load) })
                        : null,
                ),
            );
            return;
        }
        replace(
            content,
            tree.map((workspace) =>
                h(
                    "section",
                    { class: "workspace", "aria-label": `Workspace ${workspace.slug}` },
                    h(
                        "header",
                        { class: "workspace-head" },
                        h("h2", {}, workspace.name),
                        workspace.name === workspace.slug ? null : h("code", { class: "slug" }, workspace.slug),
                        workspace.description ? h("p", { class: "quiet" }, workspace.description) : null,
                        h("div", { class: "spacer" }),
                        session.can("admin", { workspace: workspace.slug })
                            ? [
                                button("New project", {
                                    icon: icon("plus"),
                                    small: true,
                                    onclick: () => create("project", { workspace: workspace.slug }, load),
                                }),
                                more(`Workspace ${workspace.slug}`, () =>
                                    remove(
                                        "workspace",
                                        workspace.slug,
                                        `/v1/workspaces/${workspace.slug}`,
                                        workspace.projects.length > 0,
                                        load,
                                    )),
                            ]
                            : null,
                    ),
                    workspace.projects.length
                        ? h("div", { class: "projects" }, workspace.projects.map((project) => projectCard(workspace, project)))
                        : h("p", { class: "quiet inset" }, "No project yet."),
                )
            ),
        );
    }

    function projectCard(workspace, project) {
        const isAdmin = session.can("admin", { workspace: workspace.slug, project: project.slug });
        return h(
            "article",
            { class: "project card" },
            h(
                "header",
                { class: "project-head" },
                h("h3", {}, project.name),
                project.name === project.slug ? null : h("code", { class: "slug" }, project.slug),
                h("div", { class: "spacer" }),
                isAdmin
                    ? [
                        button(`New environment in ${project.slug}`, {
                            icon: icon("plus"),
                            kind: "ghost",
                            only: true,
                            small: true,
                            onclick: () => create("environment", { workspace: workspace.slug, project: project.slug }, load),
                        }),
                        more(`Project ${project.slug}`, () =>
                            remove(
                                "project",
                                project.slug,
                                `/v1/projects/${workspace.slug}/${project.slug}`,
                                project.environments.length > 0,
                                load,
                            )),
                    ]
                    : null,
            ),
            project.description ? h("p", { class: "quiet inset" }, project.description) : null,
            project.environments.length
                ? h(
                    "ul",
                    { class: "environments" },
                    project.environments.map((one) => {
                        const place = { workspace: workspace.slug, project: project.slug, environment: one.slug };
                        return h(
                            "li",
                            {},
                            h(
                                "a",
                                { href: environmentLink(place), class: "environment" },
                                h(
                                    "span",
                                    { class: "environment-name" },
                                    h("strong", {}, one.name),
                                    one.name === one.slug ? null : h("code", { class: "slug" }, one.slug),
                                ),
                                h(
                                    "span",
                                    { class: "environment-facts" },
                                    h("span", {}, one.revision ? `revision ${one.revision}` : "empty"),
                                    h("span", { "aria-hidden": "true" }, "·"),
                                    time(one.updatedAt),
                                ),
                                icon("chevron"),
                            ),
                            isAdmin
                                ? more(`Environment ${one.slug}`, () =>
                                    remove(
                                        "environment",
                                        one.slug,
                                        `/v1/projects/${workspace.slug}/${project.slug}/environments/${one.slug}`,
                                        false,
                                        load,
                                    ))
                                : null,
                        );
                    }),
                )
                : h("p", { class: "quiet inset" }, "No environment yet."),
        );
    }

    load();
    const takeKeys = canCreate ? addKeys({ n: { label: "New workspace", run: () => create("workspace", {}, load) } }) : () => {};
    return () => {
        ended.abort();
        takeKeys();
    };
}

function more(label, run) {
    return button(`More: ${label}`, {
        icon: icon("more"),
        kind: "ghost",
        only: true,
        small: true,
        "aria-haspopup": "menu",
        "aria-expanded": "false",
        onclick: (event) => toggleMenu(event.currentTarget, [{ label: "Delete…", icon: "trash", kind: "danger", run }]),
    });
}

async function remove(kind, slug, path, isFull, done) {
    const agreed = await confirm({
        title: `Delete ${kind} ${slug}?`,
        text: kind === "environment"
            ? "All of its entries and their history go with it, and every watcher is disconnected. This can't be undone."
            : `Everything in it goes with it. ${isFull ? "It is not empty. " : ""}This can't be undone.`,
        action: "Delete",
        kind: "danger",
        phrase: slug,
    });
    if (!agreed) return;
    try {
        await call("DELETE", isFull ? `${path}?force=true` : path);
        toast(`${slug} was deleted`);
        done();
    } catch (error) {
        toastProblem(error);
    }
}

function create(kind, place, done) {
    const texts = kinds[kind];
    const slug = h("input", {
        type: "text",
        class: "input mono",
        placeholder: texts.example,
        autocomplete: "off",
        spellcheck: "false",
        autocapitalize: "off",
        maxlength: 63,
        autofocus: true,
    });
    const name = h("input", { type: "text", class: "input", autocomplete: "off", maxlength: 200 });
    const slugField = field("Slug", slug, { hint: `Small letters, digits and hyphens; it can't be changed later. ${texts.hint}` });
    const nameField = field("Name", name, { optional: true });
    const paths = {
        workspace: "/v1/workspaces",
        project: `/v1/workspaces/${place.workspace}/projects`,
        environment: `/v1/projects/${place.workspace}/${place.project}/environments`,
    };
    const save = button("Create", {
        kind: "primary",
        "data-submit": true,
        onclick: () =>
            busy(save, async () => {
                try {
                    const made = (await call("POST", paths[kind], {
                        body: { slug: slug.value.trim(), ...(name.value.trim() ? { name: name.value.trim() } : {}) },
                    })).data;
                    dialog.close();
                    toast(`${made.slug} was created`);
                    if (kind === "environment") go(environmentLink({ ...place, environment: made.slug }));
                    else done();
                } catch (error) {
                    slugField.refuse(
                        error.errors?.[0]?.detail
                            ? `${error.errors[0].pointer?.replace("/", "")} ${error.errors[0].detail}`
                            : error.message,
                    );
                }
            }),
    });
    const dialog = openDialog({
        title: texts.title,
        subtitle: place.workspace ? h("p", { class: "mono quiet" }, [place.workspace, place.project].filter(Boolean).join(" / ")) : null,
        body: h(
            "form",
            {
                class: "stack",
                onsubmit: (event) => {
                    event.preventDefault();
                    save.click();
                },
            },
            slugField,
            nameField,
        ),
        footer: [button("Cancel", { onclick: () => dialog.close() }), save],
    });
}
