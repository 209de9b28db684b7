// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Who is signed in. The token lives in this tab's session storage and ends with it. For everything but what needs more, the page uses a
// connect token without `read_secrets`, minted from it: what the page is not asked to show, it can't read.

import { call, Problem, useTokens } from "./rest.js";

const key = "keyvane.token";
const lifetime = 3600;

class Session extends EventTarget {
    #token = null;
    #view = null;
    #viewEnds = 0;
    #minting = null;
    identity = null;

    get isSignedIn() {
        return this.identity !== null;
    }

    /** After a reload of this tab. */
    async restore() {
        const token = sessionStorage.getItem(key);
        if (!token) return;
        try {
            await this.signIn(token);
        } catch (error) {
            if (error.status === 401) sessionStorage.removeItem(key);
            this.failure = error;
        }
    }

    async signIn(token) {
        this.identity = (await call("GET", "/v1/whoami", { token })).data;
        this.#token = token;
        sessionStorage.setItem(key, token);
        this.#view = null;
        this.#viewEnds = 0;
        this.failure = null;
        this.dispatchEvent(new Event("change"));
    }

    signOut(reason = null) {
        sessionStorage.removeItem(key);
        this.#token = this.#view = null;
        this.identity = null;
        this.failure = reason;
        this.dispatchEvent(new Event("change"));
    }

    /** The person's own. */
    full() {
        return this.#token ?? "";
    }

    /** One that reads no secret; renewed well before its end. */
    async view() {
        if (this.#view && Date.now() < this.#viewEnds) return this.#view;
        this.#minting ??= this.#mint().finally(() => (this.#minting = null));
        return this.#minting;
    }

    async #mint() {
        const grants = (this.identity?.grants ?? [])
            .map((grant) => ({ ...grant, permissions: grant.permissions.filter((permission) => permission !== "read_secrets") }))
            .filter((grant) => grant.permissions.length);
        try {
            const made = await call("POST", "/v1/connect-tokens", { body: { ttl: lifetime, grants }, token: this.#token, key: false });
            this.#view = made.data.token;
            this.#viewEnds = Date.now() + lifetime * 800;
        } catch (error) {
            if (error.status === 401) throw error;
            // A connect token mints none, and more grants than fit in one need the token itself.
            if (!(error instanceof Problem) || ![403, 422].includes(error.status)) throw error;
            this.#view = this.#token;
            this.#viewEnds = Infinity;
        }
        return this.#view;
    }

    /** A token was refused. True: there is a new one, try again. */
    async refused(wasFull) {
        if (!this.#token) return false;
        try {
            await call("GET", "/v1/whoami", { token: this.#token });
        } catch (error) {
            if (error.status === 401) this.signOut("This token has been revoked or has expired.");
            return false;
        }
        this.#view = null;
        return !wasFull;
    }

    /** Whether some grant allows it there. A name is asked for only where one is given. */
    can(permission, place = {}, name = null) {
        return (this.identity?.grants ?? []).some(
            (grant) =>
                grant.permissions.includes(permission) &&
                (grant.workspace === "*" || place.workspace === undefined || grant.workspace === place.workspace) &&
                (!grant.project || place.project === undefined || grant.project === place.project) &&
                (!grant.environment || place.environment === undefined || grant.environment === place.environment) &&
                (name === null || !grant.names || grant.names.some((glob) => matches(glob, name))),
        );
    }

    /** Over instances, and what belongs to no workspace. */
    get isOperator() {
        return (this.identity?.grants ?? []).some(
            (grant) => grant.workspace === "*" && !grant.project && !grant.names && grant.permissions.includes("admin"),
        );
    }
}

function matches(glob, name) {
    const pattern = [...glob].map((letter) => (letter === "*" ? ".*" : letter === "?" ? "." : letter.replace(/[.\\^$+()[\]{}|-]/, "\\$&")));
    return new RegExp(`^${pattern.join("")}$`, "s").test(name);
}

export const session = new Session();
useTokens({ view: () => session.view(), full: () => session.full(), refused: (wasFull) => session.refused(wasFull) });
