// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Elements as calls: `h("a", { href, onclick }, "text", child)`. Strings become text nodes, never markup, so a stored value stays a value.

export function h(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
        if (value === null || value === undefined || value === false) continue;
        if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
        else if (name === "dataset") Object.assign(element.dataset, value);
        else if (name === "value") element.value = value;
        else element.setAttribute(name, value === true ? "" : value);
    }
    append(element, children);
    return element;
}

export function append(element, children) {
    for (const child of children.flat(Infinity)) {
        if (child === null || child === undefined || child === false) continue;
        element.append(child instanceof Node ? child : String(child));
    }
    return element;
}

export function replace(element, ...children) {
    element.replaceChildren();
    return append(element, children);
}

/** Said by screen readers; on the page it can't be seen. */
export function announce(text) {
    const place = document.getElementById("announcer");
    place.textContent = "";
    requestAnimationFrame(() => (place.textContent = text));
}

/** A button, a link that looks like one, or a button that is only an icon (then `label` is its name). */
export function button(label, { icon, kind = "plain", small = false, only = false, ...rest } = {}) {
    const classes = ["button", `button-${kind}`, small && "button-small", only && "button-icon", rest.class].filter(Boolean).join(" ");
    return h(
        rest.href ? "a" : "button",
        {
            type: rest.href ? null : "button",
            ...rest,
            class: classes,
            "aria-label": only ? label : rest["aria-label"],
            title: only ? label : rest.title,
        },
        icon ?? null,
        only ? null : h("span", {}, label),
    );
}

/** While `work` runs the button is busy and can't be pressed twice. */
export async function busy(element, work) {
    if (element.getAttribute("aria-busy") === "true") return undefined;
    element.setAttribute("aria-busy", "true");
    try {
        return await work();
    } finally {
        element.removeAttribute("aria-busy");
    }
}

let numbers = 0;

/** A label, its field, what explains it, and room for what is wrong with it. */
export function field(label, input, { hint = null, optional = false } = {}) {
    numbers += 1;
    const id = input.id || `field-${numbers}`;
    input.id = id;
    const fault = h("p", { class: "field-fault", id: `${id}-fault`, role: "alert", hidden: true });
    const described = [hint ? `${id}-hint` : null, `${id}-fault`].filter(Boolean).join(" ");
    input.setAttribute("aria-describedby", described);
    const element = h(
        "div",
        { class: "field" },
        h("label", { for: id }, label, optional ? h("span", { class: "optional" }, "optional") : null),
        input,
        hint ? h("p", { class: "hint", id: `${id}-hint` }, hint) : null,
        fault,
    );
    element.refuse = (text) => {
        fault.textContent = text ?? "";
        fault.hidden = !text;
        input.toggleAttribute("aria-invalid", Boolean(text));
        if (text) input.focus();
    };
    return element;
}

export function skeleton(rows = 6) {
    return h(
        "div",
        { class: "skeleton", role: "status", "aria-label": "Loading" },
        ...Array.from({ length: rows }, () => h("div", { class: "skeleton-row" })),
    );
}

/** What is shown where there is nothing yet, with what to do about it. */
export function empty(icon, title, text, ...actions) {
    return h(
        "div",
        { class: "empty" },
        h("div", { class: "empty-icon" }, icon),
        h("h2", {}, title),
        h("p", {}, text),
        h("div", { class: "actions" }, ...actions),
    );
}

export const valueRows = (text) => Math.min(14, Math.max(3, text.split("\n").length + 1));

/** Where a value is typed: as high as its text, within limits. */
export const valueArea = (text, label) =>
    h("textarea", {
        class: "input mono value-area",
        rows: valueRows(text),
        spellcheck: "false",
        autocomplete: "off",
        autocapitalize: "off",
        "aria-label": label,
        value: text,
    });
