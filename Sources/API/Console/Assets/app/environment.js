// Keyvane
// SPDX-License-Identifier: Apache-2.0

// The open environment: all its entries, kept as they are on the server. Values of variables come over the watch within milliseconds; that a
// secret has changed comes over the change log, without its value. Versions decide between what arrives twice or late.
// Events: `loaded`, `entries` (detail: Map of name to "set" | "delete"), `connection`, `gone`, `failed` (why is in `failure`).

import { all, call, entryPath, environmentPath } from "./rest.js";
import { session } from "./session.js";
import { Watch } from "./watch.js";

export class EnvironmentModel extends EventTarget {
    entries = new Map();
    revision = 0;
    isLoaded = false;
    connection = "connecting";
    failure = null;
    #ended = new AbortController();
    #watch = null;
    #deleted = new Map();
    #following = false;
    #asked = new Set();
    #cursor = null;

    constructor(place) {
        super();
        this.place = place;
        this.path = `${place.workspace}/${place.project}/${place.environment}`;
        this.onVisible = () => this.#follow();
        document.addEventListener("visibilitychange", this.onVisible);
        this.open();
    }

    end() {
        this.#ended.abort();
        this.#watch?.stop();
        document.removeEventListener("visibilitychange", this.onVisible);
    }

    get gateway() {
        return this.#watch?.gateway ?? null;
    }

    /** Ended, or its environment has gone. */
    get isOver() {
        return this.#ended.signal.aborted;
    }

    /** Once by itself, and again by whom it failed for. */
    async open() {
        this.failure = null;
        try {
            const record = await this.#read();
            if (this.isOver || this.#watch) return;
            this.#cursor = record.cursor;
            this.#watch = new Watch(this.path, record.cursor, () => session.view(), () => session.refused(false));
            this.#watch.addEventListener("state", () => this.#connectionChanged());
            this.#watch.addEventListener("changes", (event) => this.#apply(event.detail.changes, event.detail.revision));
            this.#watch.addEventListener("reset", () => this.refresh());
            this.#watch.addEventListener("gone", () => this.#gone());
            this.#follow();
        } catch (error) {
            this.#failed(error);
        }
    }

    #failed(error) {
        if (error.name === "AbortError") return;
        this.failure = error;
        this.dispatchEvent(new Event("failed"));
    }

    #connectionChanged() {
        this.connection = this.#watch.state;
        this.dispatchEvent(new Event("connection"));
    }

    #gone() {
        this.end();
        this.dispatchEvent(new Event("gone"));
    }

    /** The record is read before the lists: what is committed in between comes again over the watch, and its version tells. */
    async #read() {
        const options = { signal: this.#ended.signal };
        const base = environmentPath(this.place);
        const record = (await call("GET", base, options)).data;
        const [variables, secrets] = await Promise.all([all(`${base}/variables`, options), all(`${base}/secrets`, options)]);
        const next = new Map();
        for (const entry of [...variables, ...secrets]) {
            if ((this.#deleted.get(entry.name) ?? 0) <= entry.version) next.set(entry.name, entry);
        }
        // The watch may be ahead of the lists.
        for (const known of this.entries.values()) {
            const listed = next.get(known.name);
            if (listed ? known.version > listed.version && known.isSecret === listed.isSecret : known.revision > record.revision) {
                next.set(known.name, known);
            }
        }
        this.entries = next;
        this.revision = Math.max(record.revision, this.revision);
        this.isLoaded = true;
        this.dispatchEvent(new Event("loaded"));
        return record;
    }

    /** Another history, or too many changes to look at one by one. */
    async refresh() {
        this.#deleted.clear();
        this.entries = new Map();
        this.revision = 0;
        await this.open();
    }

    /** The change log as a long poll, while somebody looks: secrets, without their values. */
    async #follow() {
        if (this.#following || document.hidden || this.#ended.signal.aborted || this.#cursor === null) return;
        this.#following = true;
        let failures = 0;
        while (!document.hidden && !this.#ended.signal.aborted) {
            try {
                const query = new URLSearchParams({ since: this.#cursor, wait: "25", limit: "200", reveal: "false" });
                const changes = (await call("GET", `${environmentPath(this.place)}/changes?${query}`, { signal: this.#ended.signal })).data;
                failures = 0;
                this.#apply(changes.items, changes.revision);
                this.#cursor = changes.cursor;
            } catch (error) {
                if (error.name === "AbortError") break;
                if (error.status === 410) {
                    this.#cursor = (await this.#read().catch(() => null))?.cursor ?? this.#cursor;
                } else if (error.status === 404) {
                    this.#gone();
                }
                failures += 1;
                await new Promise((resolve) => setTimeout(resolve, Math.min(5_000, 250 * 2 ** failures)));
            }
        }
        this.#following = false;
    }

    #apply(changes, revision) {
        const touched = new Map();
        for (const change of changes) {
            const known = this.entries.get(change.name);
            // A sealed variable is a delete to the watch and a set to the log, of one version: the set is the newer one.
            const gone = (this.#deleted.get(change.name) ?? 0) - (change.op === "set" ? 1 : 0);
            if (change.version <= Math.max(known?.version ?? 0, gone)) continue;
            if (change.op === "delete") {
                // Deleted or disabled: the server knows.
                if (known) touched.set(change.name, "delete");
                continue;
            }
            this.#deleted.delete(change.name);
            this.entries.set(change.name, {
                note: null,
                ...known,
                name: change.name,
                value: change.isSecret ? null : change.value,
                isSecret: change.isSecret,
                version: change.version,
                revision: change.revision,
                enabled: true,
                updatedAt: change.at,
                updatedBy: change.by,
            });
            touched.set(change.name, "set");
        }
        if (revision > this.revision) this.revision = revision;
        if (touched.size === 0) return;
        this.#tell(new Map([...touched].filter(([, op]) => op === "set")));
        this.#confirm(touched, changes);
    }

    #tell(touched) {
        if (touched.size) this.dispatchEvent(new CustomEvent("entries", { detail: touched }));
    }

    /** Frames don't say everything: notes, and whether what went is deleted or disabled. */
    async #confirm(touched, changes) {
        if (touched.size > 40) {
            await this.#read().catch(() => null);
            return;
        }
        await Promise.all(
            [...touched.keys()].map(async (name) => {
                const change = changes.findLast((candidate) => candidate.name === name);
                // The watch and the log say the same.
                const key = `${name} ${change.version}`;
                if (this.#asked.has(key)) return;
                this.#asked.add(key);
                const entry = await this.#ask(change).catch(() => undefined);
                this.#asked.delete(key);
                if (entry) this.put(entry);
                else if (entry === null && touched.get(name) === "delete") this.remove(name, change.version, change.isSecret);
            }),
        );
    }

    /** The entry as the server has it, null where it has none. A list of one, because "none" is no fault here. */
    async #ask({ name, isSecret }) {
        const options = { signal: this.#ended.signal };
        const query = new URLSearchParams({ q: name, limit: "200" });
        const list = (await call("GET", `${environmentPath(this.place)}/${isSecret ? "secrets" : "variables"}?${query}`, options)).data;
        const found = list.items.find((entry) => entry.name === name);
        if (found || !list.nextCursor) return found ?? null;
        try {
            return (await call("GET", entryPath(this.place, { name, isSecret }), options)).data;
        } catch (error) {
            if (error.status === 404) return null;
            throw error;
        }
    }

    /** From an answer: the entry as it is now. */
    put(entry) {
        const known = this.entries.get(entry.name);
        if (known && known.version > entry.version && known.isSecret === entry.isSecret) return;
        if ((this.#deleted.get(entry.name) ?? 0) > entry.version) return;
        const record = { ...entry, value: entry.isSecret ? null : entry.value };
        delete record.applied;
        const same = known && ["value", "isSecret", "version", "enabled", "note"].every((field) => known[field] === record[field]);
        this.entries.set(entry.name, record);
        this.#deleted.delete(entry.name);
        if (entry.revision > this.revision) this.revision = entry.revision;
        if (!same) this.#tell(new Map([[entry.name, "set"]]));
    }

    remove(name, version, isSecret = this.entries.get(name)?.isSecret) {
        const known = this.entries.get(name);
        if (!known || known.version > version || known.isSecret !== isSecret) return;
        this.entries.delete(name);
        this.#deleted.set(name, version);
        this.#tell(new Map([[name, "delete"]]));
    }
}
