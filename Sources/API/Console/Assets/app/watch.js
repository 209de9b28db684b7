// Keyvane
// SPDX-License-Identifier: Apache-2.0

// One environment over `/v1/watch`. It resumes from its cursor on whichever gateway answers next, so nothing is missed. Events:
// `changes` (a frame), `reset` (history is not the one we knew: read anew), `state`, `gone`. The token travels in the first message, never in
// the address.

const silence = 45_000;
const longest = 8_000;

export class Watch extends EventTarget {
    #socket = null;
    #stopped = false;
    #failures = 0;
    #timer = null;
    #silenceTimer = null;
    #wait = null;
    #token;
    #refused;

    /** `token()` is asked at each connection; `refused()` is told that it was not accepted, so that the next one is another. */
    constructor(environment, cursor, token, refused) {
        super();
        this.environment = environment;
        this.cursor = cursor;
        this.state = "connecting";
        this.gateway = null;
        this.#token = token;
        this.#refused = refused;
        this.online = () => this.#soon(0);
        addEventListener("online", this.online);
        this.#connect();
    }

    stop() {
        this.#stopped = true;
        removeEventListener("online", this.online);
        clearTimeout(this.#timer);
        clearTimeout(this.#silenceTimer);
        this.#socket?.close(1000);
    }

    #become(state) {
        if (this.state === state) return;
        this.state = state;
        this.dispatchEvent(new Event("state"));
    }

    async #connect() {
        let token;
        try {
            token = await this.#token();
        } catch {
            this.#failed();
            return;
        }
        if (this.#stopped) return;
        this.#socket?.close(1000);
        const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/watch`, "keyvane.v1");
        this.#socket = socket;
        socket.onopen = () => socket.send(JSON.stringify({ type: "authenticate", token }));
        socket.onmessage = (event) => {
            if (this.#socket === socket) this.#received(socket, JSON.parse(event.data));
        };
        socket.onclose = (event) => {
            if (this.#socket === socket) this.#closed(event);
        };
        this.#listen();
    }

    /** A half-dead connection says nothing, not even a heartbeat. */
    #listen() {
        clearTimeout(this.#silenceTimer);
        this.#silenceTimer = setTimeout(() => {
            const socket = this.#socket;
            this.#socket = null;
            socket?.close();
            this.#failed();
        }, silence);
    }

    #received(socket, message) {
        this.#listen();
        switch (message.type) {
            case "ready":
                this.gateway = message.gateway;
                socket.send(JSON.stringify({ type: "subscribe", id: 1, environment: this.environment, since: this.cursor }));
                break;
            case "changes":
                this.#failures = 0;
                // The cursor moves only after the frame has been taken in.
                this.dispatchEvent(new CustomEvent("changes", { detail: message }));
                this.cursor = message.cursor;
                this.#become("live");
                break;
            case "snapshot":
                this.#failures = 0;
                this.cursor = message.cursor;
                this.#become("live");
                this.dispatchEvent(new Event("reset"));
                break;
            case "heartbeat":
                this.cursor = message.heads?.[this.environment] ?? this.cursor;
                break;
            case "closing":
                if (message.reason === "deleted") this.#end();
                else this.#wait = message.reconnectAfterMs ?? null;
                break;
            case "error":
                if (["not_found", "not_granted"].includes(message.code)) this.#end();
                else socket.close(1000);
                break;
        }
    }

    #end() {
        this.stop();
        this.dispatchEvent(new Event("gone"));
    }

    #closed(event) {
        clearTimeout(this.#silenceTimer);
        if (this.#stopped) return;
        if (event.code === 4404 || event.code === 4403) this.#end();
        else if (event.code === 4401) this.#refused().then(() => this.#failed());
        else this.#failed();
    }

    #failed() {
        if (this.#stopped) return;
        this.#become("reconnecting");
        const delay = this.#wait ?? Math.min(longest, 120 * 2 ** this.#failures) * (0.5 + Math.random() / 2);
        this.#wait = null;
        this.#failures += 1;
        this.#soon(delay);
    }

    #soon(delay) {
        if (this.#stopped || this.state === "live") return;
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => this.#connect(), delay);
    }
}
