// Keyvane
// SPDX-License-Identifier: Apache-2.0

// The address's fragment chooses the view: `#/env/acme/web/production/history`. It never holds a value or a token.

const environmentViews = ["entries", "history", "watchers"];
const clusterViews = ["instances", "tokens", "audit"];

/** `{ view, place?, workspace? }` of the present address. */
export function route() {
    const parts = location.hash.replace(/^#\/?/, "").split("/").filter(Boolean).map(decodeURIComponent);
    if (parts[0] === "env" && parts.length >= 4) {
        const view = environmentViews.includes(parts[4]) ? parts[4] : "entries";
        return { view, place: { workspace: parts[1], project: parts[2], environment: parts[3] } };
    }
    if (clusterViews.includes(parts[0])) return { view: parts[0], workspace: parts[1] ?? null };
    return { view: "places" };
}

export const environmentLink = (place, view = "entries") => `#/env/${place.workspace}/${place.project}/${place.environment}/${view}`;

export function go(address) {
    if (location.hash === address) dispatchEvent(new HashChangeEvent("hashchange"));
    else location.hash = address;
}

const recentKey = "keyvane.place";

/** The environment that this tab was last in, for links that need one. */
export function rememberPlace(place) {
    sessionStorage.setItem(recentKey, JSON.stringify(place));
}

export function recentPlace() {
    try {
        return JSON.parse(sessionStorage.getItem(recentKey));
    } catch {
        return null;
    }
}
