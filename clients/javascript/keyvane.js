// Keyvane
// SPDX-License-Identifier: Apache-2.0

/**
 * A client of Keyvane for browsers and Node, in one file without dependencies: copy it into your project.
 *
 *     import { KeyvaneClient } from "./keyvane.js";
 *
 *     const client = new KeyvaneClient({ url: "https://config.example.com", token });
 *     for await (const configuration of client.watch("acme/web/production")) {
 *       console.log(configuration.revision, configuration.get("DB_HOST"));
 *     }
 *
 * The loop's first turn has the whole configuration, each further one the configuration after a change. It reconnects and resumes by
 * itself, and misses nothing. A body that is slow gets the newest state next. `break` closes the connection. The loop throws a
 * KeyvaneError only where trying again is of no use: a token that is wrong, revoked or not granted, an environment that isn't there.
 *
 * It uses the WebSocket that browsers and Node 22 have. For older Nodes, and for servers with a certificate authority of their own,
 * there is one in `node-websocket.js`:
 *
 *     new KeyvaneClient({ url, token, WebSocket: NodeWebSocket });
 *
 * In a browser, use a connect token (`POST /v1/connect-tokens`): it is short-lived and grants what the page needs.
 */

/**
 * @typedef {object} Entry
 * @property {string} name
 * @property {string} value in plaintext, secrets included
 * @property {boolean} isSecret
 * @property {number} version how often this entry has changed
 * @property {number} revision the environment's revision that this value came with
 *
 * @typedef {object} WatchOptions
 * @property {string[]} [names] globs such as `FEATURE_*`; none is all names
 * @property {boolean} [acknowledges] whether writers who wait for their change to be applied wait for `acknowledge`
 * @property {(error: KeyvaneError, retryAfterMs: number) => void} [onInterruption] called when a connection is gone or could not be made
 *
 * @typedef {object} ClientOptions
 * @property {string} url the service's base URL, http or https, with a path where a proxy puts one in front
 * @property {string} token
 * @property {any} [WebSocket] a class to use instead of the global WebSocket
 * @property {number} [connectTimeoutMs] how long a connection may take to open (10,000)
 * @property {number} [silenceTimeoutMs] a connection without a message for so long is dead (45,000); stretched for slower heartbeats
 */

/** What went wrong: `code` for programs, `message` for people. */
export class KeyvaneError extends Error {
  /**
   * @param {string} code stable, in snake_case
   * @param {string} message
   * @param {{ isFinal?: boolean, closeCode?: number }} details `isFinal`: trying again is of no use
   */
  constructor(code, message, { isFinal = false, closeCode } = {}) {
    super(message);
    this.name = "KeyvaneError";
    this.code = code;
    this.isFinal = isFinal;
    this.closeCode = closeCode;
  }
}

/** All that an environment holds at one revision, as far as the token and the names show it. It doesn't change any more. */
export class Configuration {
  /** @type {Map<string, Entry>} */
  #entries;

  constructor(environment, revision, cursor, entries) {
    this.environment = environment;
    this.revision = revision;
    this.cursor = cursor;
    this.#entries = new Map(entries);
    Object.freeze(this);
  }

  /**
   * The value under a name.
   * @param {string} name
   * @returns {string | undefined}
   */
  get(name) {
    return this.#entries.get(name)?.value;
  }

  /**
   * The entry under a name.
   * @param {string} name
   * @returns {Entry | undefined}
   */
  entry(name) {
    return this.#entries.get(name);
  }

  /** @returns {Entry[]} all entries */
  get entries() {
    return [...this.#entries.values()];
  }

  /** @returns {Record<string, string>} the values by name, as an application's environment variables would hold them */
  get values() {
    return Object.fromEntries(this.entries.map((entry) => [entry.name, entry.value]));
  }
}

export class KeyvaneClient {
  // Private, so that logging a client doesn't show its token.
  #token;
  #address;
  #options;

  /** @param {ClientOptions} options */
  constructor({ url, token, WebSocket = globalThis.WebSocket, connectTimeoutMs = 10_000, silenceTimeoutMs = 45_000 }) {
    if (!/^https?:\/\/[^/?#@]+[^?#@]*$/i.test(url)) {
      throw new KeyvaneError("invalid_url", "The URL of the service must look like https://config.example.com.", { isFinal: true });
    }
    if (!token) throw new KeyvaneError("invalid_token", "The token is empty. Check where it is read from.", { isFinal: true });
    if (!WebSocket) {
      const message = "This Node has no WebSocket. Pass one: { WebSocket: NodeWebSocket } of node-websocket.js.";
      throw new KeyvaneError("no_websocket", message, { isFinal: true });
    }
    this.#address = url.replace(/^http/i, "ws").replace(/\/+$/, "") + "/v1/watch";
    this.#token = token;
    this.#options = { WebSocket, connectTimeoutMs, silenceTimeoutMs };
  }

  /**
   * The environment's configuration, now and after each change, for `for await`.
   * @param {string} environment `workspace/project/environment`
   * @param {WatchOptions} [options]
   */
  watch(environment, options = {}) {
    return new Watch(this.#address, this.#token, environment, { ...this.#options, ...options });
  }
}

/** The watch of one environment, for one loop at a time. */
class Watch {
  #address;
  #token;
  #environment;
  #options;
  /** What the loop knows; each loop starts with nothing. */
  #state;
  /** @type {(messages: object[]) => void} sends on the open connection. */
  #send = () => {};
  /** @type {(value?: any) => void} wakes the loop. */
  #wake = () => {};

  constructor(address, token, environment, options) {
    this.#address = address;
    this.#token = token;
    this.#environment = environment;
    this.#options = options;
    this.#state = new WatchState(environment, options);
  }

  /**
   * Tells the service that a revision is in use, or that it can't be. Needs `acknowledges`. It is repeated on a new connection.
   * @param {number} revision
   * @param {"applied" | "failed"} [status]
   * @param {string} [message] why it failed, for whoever looks at the environment's watchers: no secrets in it
   */
  acknowledge(revision, status = "applied", message) {
    this.#send(this.#state.acknowledge(revision, status, message));
  }

  /** @returns {AsyncGenerator<Configuration, void, void>} */
  async *[Symbol.asyncIterator]() {
    this.#state = new WatchState(this.#environment, this.#options);
    const stop = new AbortController();
    let end;
    const running = this.#run(stop.signal).catch((error) => {
      end = error;
      this.#wake();
    });
    try {
      for (;;) {
        // However many frames have come since, there is one state to hand out: the newest.
        const configuration = this.#state.takeNews();
        if (configuration) yield configuration;
        else if (end) throw end;
        else await new Promise((resolve) => (this.#wake = resolve));
      }
    } finally {
      stop.abort();
      await running;
    }
  }

  /** Connects again and again; throws when that is of no use. */
  async #run(stop) {
    while (!stop.aborted) {
      const error = await this.#connection(stop);
      if (stop.aborted) return;
      if (error.isFinal) throw error;
      const delay = this.#state.retryAfterMs(error, Math.random());
      this.#options.onInterruption?.(error, delay);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, delay);
        stop.onabort = () => {
          clearTimeout(timer);
          resolve(undefined);
        };
      });
    }
  }

  /** @returns {Promise<KeyvaneError>} why the connection that is made here ended */
  #connection(stop) {
    const { WebSocket, connectTimeoutMs } = this.#options;
    let { silenceTimeoutMs } = this.#options;
    return new Promise((resolve) => {
      const socket = new WebSocket(this.#address, "keyvane.v1");
      let timer;
      let openedAt;
      const end = (error) => {
        clearTimeout(timer);
        this.#send = () => {};
        // A dead connection's closing handshake can take a minute: whatever it still says isn't waited for.
        socket.onopen = socket.onmessage = socket.onclose = null;
        socket.close();
        this.#state.closed(openedAt === undefined ? 0 : performance.now() - openedAt);
        resolve(error);
      };
      const endAfter = (delay, code, message) => {
        clearTimeout(timer);
        timer = setTimeout(() => end(new KeyvaneError(code, message)), delay);
      };
      const heard = () => endAfter(silenceTimeoutMs, "silent", "The gateway has sent nothing, not even a heartbeat, and counts as dead.");

      stop.onabort = () => end(new KeyvaneError("stopped", "The loop was left."));
      endAfter(connectTimeoutMs, "unreachable", "The service did not answer in time.");
      // An error is followed by a close, which says as much as there is to know.
      socket.onerror = () => {};
      socket.onopen = () => {
        openedAt = performance.now();
        this.#send = (messages) => messages.forEach((message) => socket.send(JSON.stringify(message)));
        // As a message and not in the URL, which proxies write into their logs; a browser can't send it in a header.
        this.#send([{ type: "authenticate", token: this.#token }, ...this.#state.opened()]);
        heard();
      };
      socket.onmessage = ({ data }) => {
        try {
          const messages = this.#state.received(data);
          this.#wake();
          this.#send(messages);
          silenceTimeoutMs = Math.max(silenceTimeoutMs, this.#state.heartbeatMs * 2.25);
          heard();
        } catch (error) {
          end(error);
        }
      };
      socket.onclose = ({ code, reason }) => {
        const unreachable = new KeyvaneError("unreachable", "The service could not be reached.");
        end(openedAt === undefined ? unreachable : closeError(code, reason));
      };
    });
  }
}

/** `error` codes of a refused subscription after which it is worth trying again. */
const PASSING = new Set(["unavailable", "overloaded", "draining", "too_fast", "timeout", "internal_error"]);
const FIRST_BACKOFF_MS = 250;
const LONGEST_BACKOFF_MS = 10_000;
const STABLE_AFTER_MS = 5_000;
const TOO_FAST_PAUSE_MS = 30_000;

/**
 * What a watch knows and says, without any I/O: `docs/protocol.md` in code. Methods return the messages to send; one that throws
 * a KeyvaneError wants the connection closed, and another one made unless the error is final.
 */
export class WatchState {
  /** How often the gateway says something at least. */
  heartbeatMs = 0;
  #environment;
  #options;
  #nextId = 1;
  /** @type {number | undefined} the subscription without an answer; frames before its `subscribed` belong to an older one. */
  #requested;
  /** A frame of the newest subscription has come. */
  #isLive = false;
  /** @type {string | undefined} where to resume. */
  #cursor;
  /** What the next frame starts from. Not the cursor's: heartbeats move that past changes that this watch may not see. */
  #revision;
  /** @type {Map<string, Entry>} the newest state. */
  #entries = new Map();
  #place = { revision: 0, cursor: "" };
  #hasNews = false;
  #lastAcknowledgement;
  #announcedDelay;
  #backoff = FIRST_BACKOFF_MS;

  constructor(environment, { names = [], acknowledges = false } = {}) {
    this.#environment = environment;
    this.#options = { names, acknowledges };
  }

  /** @returns {Configuration | undefined} the newest state, where it wasn't taken yet */
  takeNews() {
    if (!this.#hasNews) return undefined;
    this.#hasNews = false;
    return new Configuration(this.#environment, this.#place.revision, this.#place.cursor, this.#entries);
  }

  /** A connection is open. */
  opened() {
    this.#announcedDelay = undefined;
    return this.#subscribe();
  }

  /** The connection is gone. */
  closed(lastedMs) {
    this.#isLive = false;
    if (lastedMs >= STABLE_AFTER_MS) this.#backoff = FIRST_BACKOFF_MS;
  }

  /** How long to wait before the next connection; `jitter` is random, from 0 up to 1. */
  retryAfterMs(error, jitter) {
    if (error.closeCode === 4429) return TOO_FAST_PAUSE_MS * (0.5 + jitter / 2);
    if (error.closeCode !== undefined && this.#announcedDelay !== undefined) return this.#announcedDelay;
    // All of the delay is random: after a gateway's death its clients come back spread over the whole of it.
    const delay = this.#backoff * jitter;
    this.#backoff = Math.min(this.#backoff * 2, LONGEST_BACKOFF_MS);
    return delay;
  }

  /** The application has applied a revision, or failed to. */
  acknowledge(revision, status, message) {
    if (!this.#options.acknowledges) return [];
    const acknowledgement = { type: "ack", environment: this.#environment, revision, status };
    if (status === "failed") acknowledgement.message = [...wellFormed(message ?? "")].slice(0, 1_000).join("");
    this.#lastAcknowledgement = acknowledgement;
    return this.#isLive ? [acknowledgement] : [];
  }

  /** A message came. Unknown types are newer than this client, and left alone. */
  received(text) {
    const message = this.#parse(text);
    if ((message.environment ?? this.#environment) !== this.#environment) return [];
    switch (message.type) {
      case "ready":
        this.heartbeatMs = message.heartbeatMs ?? 0;
        return [];
      case "subscribed":
        if (message.id === this.#requested) this.#requested = undefined;
        return [];
      case "snapshot":
        return this.#snapshotReceived(message);
      case "changes":
        return this.#changesReceived(message);
      case "heartbeat":
        this.#headReceived(message.heads?.[this.#environment]);
        return [];
      case "unsubscribed":
        // Never asked for, so a grant has changed: the answer to another subscription tells.
        return this.#subscribe();
      case "error":
        return this.#refused(message);
      case "closing":
        if (message.reason === "deleted") throw closeError(4404, "");
        this.#announcedDelay = message.reconnectAfterMs == null ? undefined : Math.max(0, message.reconnectAfterMs);
        return [];
      default:
        return [];
    }
  }

  #parse(text) {
    try {
      const message = JSON.parse(text);
      expect(typeof message.type === "string");
      const isSnapshot = message.type === "snapshot";
      if (isSnapshot || message.type === "changes") {
        expect(Number.isInteger(message.revision) && typeof message.cursor === "string");
        (isSnapshot ? message.entries : message.changes).forEach(({ name }) => expect(typeof name === "string"));
      }
      return message;
    } catch {
      throw this.#unreadable("A message of the gateway isn't what this client understands. Check that their versions fit.");
    }
  }

  /** What this watch knows may be incomplete from here on: the next connection starts with a snapshot. */
  #unreadable(message) {
    this.#cursor = undefined;
    return new KeyvaneError("invalid_answer", message);
  }

  #subscribe() {
    this.#requested = this.#nextId++;
    this.#isLive = false;
    this.#revision = this.#cursor && Number.parseInt(this.#cursor, 10);
    const { names, acknowledges } = this.#options;
    const message = { type: "subscribe", id: this.#requested, environment: this.#environment };
    if (this.#cursor) message.since = this.#cursor;
    if (names.length) message.names = names;
    if (acknowledges) message.acks = true;
    return [message];
  }

  #snapshotReceived({ revision, cursor, entries }) {
    if (this.#requested) return [];
    this.#entries = new Map(entries.map((entry) => [entry.name, entryOf(entry)]));
    this.#hasNews = true;
    return this.#frameTaken(revision, cursor);
  }

  #changesReceived({ previousRevision, revision, cursor, changes }) {
    if (this.#requested) return [];
    if (this.#revision === undefined) throw this.#unreadable("The gateway sent changes where a snapshot was asked for.");
    if (previousRevision !== this.#revision || revision < previousRevision) {
      // Something between is missing, and nobody can say what: start over.
      this.#cursor = undefined;
      return this.#subscribe();
    }
    for (const change of changes) {
      if (change.op === "set") this.#entries.set(change.name, entryOf(change));
      else this.#entries.delete(change.name);
    }
    if (changes.length) this.#hasNews = true;
    return this.#frameTaken(revision, cursor);
  }

  /** The cursor moves only after the state, never before it: what is missed in between comes again. */
  #frameTaken(revision, cursor) {
    this.#place = { revision, cursor };
    this.#revision = revision;
    this.#cursor = cursor;
    const isFirst = !this.#isLive;
    this.#isLive = true;
    // A new connection knows nothing of what was acknowledged on the one before.
    return isFirst && this.#lastAcknowledgement ? [this.#lastAcknowledgement] : [];
  }

  #headReceived(head) {
    if (this.#isLive && head && Number.parseInt(head, 10) >= this.#revision) this.#cursor = head;
  }

  #refused({ id, code, message }) {
    // Not about the subscription: an acknowledgement that came too late, say. A close follows where it is serious.
    if (!this.#requested || id !== this.#requested) return [];
    throw new KeyvaneError(code, message ?? "The gateway refused the subscription.", { isFinal: !PASSING.has(code) });
  }
}

/** Half a surrogate pair is no UTF-8, and the gateway would close the connection over it. */
function wellFormed(text) {
  return new TextDecoder().decode(new TextEncoder().encode(text));
}

function expect(isTrue) {
  if (!isTrue) throw new TypeError("not a message");
}

/** @returns {Entry} frozen, because many configurations share it */
function entryOf({ name, value, isSecret, version, revision }) {
  return Object.freeze({ name, value, isSecret, version, revision });
}

const LOST = ["connection_lost", "The connection to the gateway was lost."];
const CLOSED = ["connection_closed", "The gateway closed the connection."];
const CLOSE_CODES = {
  1000: CLOSED,
  1001: CLOSED,
  // RFC 6455, section 7.1.5: what a WebSocket reports where no code came at all.
  1005: LOST,
  1006: LOST,
  1009: ["message_too_large", "The gateway sent a message that is larger than this WebSocket takes. Raise its limit."],
  1012: ["draining", "The gateway is being restarted."],
  1013: ["overloaded", "The gateway has too much to do, or this client took nothing for too long."],
  4400: ["bad_message", "The gateway doesn't understand this client. Check that their versions fit."],
  4401: ["unauthenticated", "The token is not valid: it was revoked or has expired. Get a new one."],
  4403: ["forbidden", "The token doesn't grant this. Ask for a grant that covers the environment."],
  4404: ["environment_not_found", "There is no such environment. Check its spelling, or whether it was deleted."],
  4408: ["authentication_timeout", "The gateway got no token in time."],
  4429: ["too_fast", "The gateway found this client too fast."],
};

/** @returns {KeyvaneError} what a close code means */
export function closeError(code, reason) {
  const other = [`closed_${code}`, `The gateway closed the connection with code ${code}.`];
  const [name, message] = CLOSE_CODES[code] ?? other;
  // A message that was too large once comes again.
  const isFinal = code === 1009 || (code >= 4400 && code !== 4429);
  return new KeyvaneError(name, reason || message, { isFinal, closeCode: code });
}
