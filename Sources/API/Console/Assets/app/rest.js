// Keyvane
// SPDX-License-Identifier: Apache-2.0

// The REST interface as functions. A call carries the view token, which can't read secrets; `{ full: true }` carries the person's own.
// A mutation has an idempotency key, so it can be sent again after a lost answer without happening twice.

/** An answer that says no: RFC 9457's fields, and the ETag that comes with 412. */
export class Problem extends Error {
    constructor(status, body, etag = null) {
        super(body?.detail || body?.title || `The server answered ${status}.`);
        this.name = "Problem";
        this.status = status;
        this.code = body?.code ?? "unknown";
        this.errors = body?.errors ?? [];
        this.current = body?.current ?? null;
        this.etag = etag;
    }

    /** For people, with every field at fault. */
    get text() {
        const faults = this.errors.slice(0, 8).map((fault) => (fault.pointer ? `${fault.pointer}: ${fault.detail}` : fault.detail));
        return faults.length ? `${this.message}\n${faults.join("\n")}` : this.message;
    }
}

let tokens = { view: async () => "", full: () => "", refused: async () => false };

/** session.js lends its tokens; this module keeps none. */
export function useTokens(source) {
    tokens = source;
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function send(method, path, options, attempt) {
    const headers = new Headers(options.headers);
    const token = options.token ?? (options.full ? tokens.full() : await tokens.view());
    headers.set("Authorization", `Bearer ${token}`);
    headers.set("Accept", "application/json");
    let body = options.text;
    if (body !== undefined) headers.set("Content-Type", "text/plain; charset=utf-8");
    if (options.body !== undefined) {
        body = JSON.stringify(options.body);
        headers.set("Content-Type", "application/json");
    }
    if (options.key) headers.set("Idempotency-Key", options.key);
    if (options.ifMatch !== undefined) headers.set("If-Match", `"${options.ifMatch}"`);
    if (options.ifAbsent) headers.set("If-None-Match", "*");
    try {
        return await fetch(path, { method, headers, body, signal: options.signal, cache: "no-store", credentials: "same-origin" });
    } catch (error) {
        if (error.name === "AbortError" || attempt >= 3) throw error;
        return null;
    }
}

/** `{ data, etag, revision }`, or a Problem, or an AbortError. What failed on the way is tried again: a dead server's place is taken. */
export async function call(method, path, options = {}) {
    const key = method === "GET" || options.key === false ? null : crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
    let renewed = false;
    for (let attempt = 0;; attempt += 1) {
        let response;
        try {
            response = await send(method, path, { ...options, key }, attempt);
        } catch (error) {
            if (error.name === "AbortError") throw error;
            throw new Problem(0, { detail: "The server can't be reached. Check the connection and try again.", code: "unreachable" });
        }
        if (response === null || ([502, 503, 504].includes(response.status) && attempt < 3)) {
            await pause(150 * 2 ** attempt + Math.random() * 150);
            continue;
        }
        if (response.status === 401 && !options.token && !renewed) {
            renewed = true;
            if (await tokens.refused(options.full === true)) continue;
        }
        const text = response.status === 204 ? "" : await response.text();
        let data = null;
        try {
            data = text ? JSON.parse(text) : null;
        } catch {
            data = null;
        }
        const etag = response.headers.get("ETag")?.replace(/^W\//, "").replaceAll('"', "") ?? null;
        if (!response.ok) throw new Problem(response.status, data, etag);
        return { data, etag, revision: Number(response.headers.get("Keyvane-Revision")) || data?.revision || null };
    }
}

export const get = async (path, options) => (await call("GET", path, options)).data;

/** All pages of a list. */
export async function all(path, options) {
    const items = [];
    let cursor = null;
    do {
        const page = new URLSearchParams({ limit: "200", ...(cursor ? { cursor } : {}) });
        const { data } = await call("GET", `${path}?${page}`, options);
        items.push(...data.items);
        cursor = data.nextCursor;
    } while (cursor);
    return items;
}

/** The path of an environment's resources, from `{ workspace, project, environment }`. */
export const environmentPath = (place) => `/v1/projects/${place.workspace}/${place.project}/environments/${place.environment}`;

/** The path of one entry. */
export const entryPath = (place, entry) =>
    `${environmentPath(place)}/${entry.isSecret ? "secrets" : "variables"}/${encodeURIComponent(entry.name)}`;
