// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Line icons on a grid of 16, drawn in the colour of their text. They are decoration: names come from the elements around them.

const shapes = {
    key: "M10.5 2a3.5 3.5 0 1 1-3.2 4.9L2 12.2V14h2.2v-1.6h1.6v-1.6h1.5l1.2-1.2A3.5 3.5 0 0 1 10.5 2Zm.9 2.6h.01",
    lock: "M3.5 7.5h9v6h-9zM5.5 7.5V5a2.5 2.5 0 0 1 5 0v2.5",
    text: "M3 4.5h10M3 8h7M3 11.5h9",
    search: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10Zm7 2-3.5-3.5",
    plus: "M8 3v10M3 8h10",
    upload: "M8 10.5V2.5M4.8 5.5 8 2.3l3.2 3.2M2.5 10.5v3h11v-3",
    eye: "M1.5 8S4 3.5 8 3.5 14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8Zm6.5 2a2 2 0 1 0 0-4 2 2 0 0 0 0 4Z",
    hide:
        "M2 2l12 12M6.2 3.8A6.4 6.4 0 0 1 8 3.5c4 0 6.5 4.5 6.5 4.5a11 11 0 0 1-1.7 2.2M4 5.2A10.6 10.6 0 0 0 1.5 8S4 12.5 8 12.5a6.3 6.3 0 0 0 2.6-.6M6.7 6.7a2 2 0 0 0 2.7 2.7",
    copy:
        "M6.5 5.5h6a1 1 0 0 1 1 1v6a1 1 0 0 1-1 1h-6a1 1 0 0 1-1-1v-6a1 1 0 0 1 1-1ZM3.5 10.5a1 1 0 0 1-1-1v-6a1 1 0 0 1 1-1h6a1 1 0 0 1 1 1",
    check: "M3 8.5l3.2 3.2L13 4.5",
    history: "M2.3 8.8A5.8 5.8 0 1 0 3.7 4.1M2.3 2.3v2.9h2.9M8 5v3.3l2.2 1.3",
    people:
        "M6 7.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5Zm-4.5 6a4.5 4.5 0 0 1 9 0M10.5 2.8a2.5 2.5 0 0 1 0 4.5M12 9.7a4.5 4.5 0 0 1 2.5 3.8",
    layers: "M8 2 2 5.2l6 3.2 6-3.2ZM2 8.2l6 3.2 6-3.2M2 11l6 3.2L14 11",
    server: "M2.5 3h11v4h-11zM2.5 9h11v4h-11zM5 5h.01M5 11h.01",
    shield: "M8 1.8l5 2v4c0 3.2-2.2 5.3-5 6.4-2.8-1.1-5-3.2-5-6.4v-4ZM6 8l1.5 1.5L10.3 6.5",
    log: "M3.5 2h9v12h-9zM6 5h4M6 8h4M6 11h2.5",
    sun: "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM8 1.5v1M8 13.5v1M1.5 8h1M13.5 8h1M3.4 3.4l.7.7M11.9 11.9l.7.7M3.4 12.6l.7-.7M11.9 4.1l.7-.7",
    moon: "M13.5 9.5A6 6 0 0 1 6.5 2.5a6 6 0 1 0 7 7Z",
    screen: "M2 3h12v8H2zM6 14h4M8 11v3",
    leave: "M6 2.5H2.5v11H6M10.5 5l3 3-3 3M13.5 8H6",
    close: "M3.5 3.5l9 9M12.5 3.5l-9 9",
    more: "M3.5 8h.01M8 8h.01M12.5 8h.01",
    chevron: "M6 3.5 10.5 8 6 12.5",
    sort: "M5 6l3-3 3 3M5 10l3 3 3-3",
    back: "M6.5 3.5 2.5 7.5l4 4M2.5 7.5h7a4 4 0 0 1 4 4v1",
    trash: "M2.5 4h11M6 4V2.5h4V4M4 4l.7 9.5h6.6L12 4M6.7 6.5v4.5M9.3 6.5v4.5",
    pencil: "M2.5 13.5l.6-3L10.8 2.8l2.4 2.4-7.7 7.7ZM9.3 4.3l2.4 2.4",
    pause: "M5.5 3v10M10.5 3v10",
    play: "M4.5 2.8v10.4L13 8Z",
    alert: "M8 1.8 14.5 13.5h-13ZM8 6.2v3.3M8 11.6h.01",
    keyboard: "M1.5 4h13v8.5h-13zM4 6.5h.01M6.7 6.5h.01M9.3 6.5h.01M12 6.5h.01M5 10h6",
    bolt: "M9 1.8 3.5 9H8l-1 5.2L12.5 7H8Z",
};

const namespace = "http://www.w3.org/2000/svg";

export function icon(name) {
    const svg = document.createElementNS(namespace, "svg");
    for (
        const [key, value] of Object.entries({
            viewBox: "0 0 16 16",
            width: 16,
            height: 16,
            class: `icon icon-${name}`,
            "aria-hidden": "true",
        })
    ) {
        svg.setAttribute(key, value);
    }
    const path = document.createElementNS(namespace, "path");
    path.setAttribute("d", shapes[name]);
    svg.append(path);
    return svg;
}

/** The mark: a K that is also a vane. */
export function mark(size = 24) {
    const svg = document.createElementNS(namespace, "svg");
    for (const [key, value] of Object.entries({ viewBox: "0 0 32 32", width: size, height: size, class: "mark", "aria-hidden": "true" })) {
        svg.setAttribute(key, value);
    }
    const ground = document.createElementNS(namespace, "rect");
    for (const [key, value] of Object.entries({ width: 32, height: 32, rx: 8 })) ground.setAttribute(key, value);
    const path = document.createElementNS(namespace, "path");
    path.setAttribute("d", "M9 7v18M9 17l12-9M13 14l9 11");
    svg.append(ground, path);
    return svg;
}
