// Keyvane
// SPDX-License-Identifier: Apache-2.0

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { inspect } from "node:util";
import { test } from "node:test";
import { closeError, KeyvaneClient, KeyvaneError, WatchState } from "./keyvane.js";

const read = (path) => readFileSync(new URL(path, import.meta.url), "utf8");
const golden = (name) => read(`../../Tests/Golden/watch/${name}.json`).trim();
const { jitter, exchanges } = JSON.parse(read("../vectors.json"));

const textOf = (message) => (typeof message === "string" ? golden(message) : (message.text ?? JSON.stringify(message)));

/** Carries out one step, and returns what came of it in the words of the vectors. */
function carryOut(state, step) {
  const outcome = {};
  let error;
  let lastedMs = 0;
  try {
    let sends = [];
    if (step.opened) sends = state.opened();
    if (step.received !== undefined) sends = state.received(textOf(step.received));
    if (step.acknowledged) sends = state.acknowledge(step.acknowledged.revision, step.acknowledged.status, step.acknowledged.message);
    if (sends.length) outcome.sends = sends;
  } catch (thrown) {
    error = thrown;
  }
  if (step.closed) {
    error = closeError(step.closed.code ?? 1006, step.closed.reason ?? "");
    lastedMs = step.closed.lastedMs ?? 0;
  }
  if (step.unreachable) error = new KeyvaneError("unreachable", "");
  const news = state.takeNews();
  if (news) outcome.holds = { revision: news.revision, cursor: news.cursor, values: news.values };
  if (error) {
    assert.ok(error instanceof KeyvaneError, error);
    state.closed(lastedMs);
    if (error.isFinal) outcome.ends = error.code;
    else outcome.reconnects = { code: error.code, afterMs: state.retryAfterMs(error, jitter) };
  }
  return outcome;
}

for (const { name, watch, steps } of exchanges) {
  test(`vectors: ${name}`, () => {
    const state = new WatchState(watch.environment, watch);
    for (const step of steps) {
      const { opened, received, acknowledged, closed, unreachable, ...expected } = step;
      assert.deepEqual(carryOut(state, step), expected, `at ${JSON.stringify(step)}`);
    }
  });
}

/** A WebSocket whose other side is the test. */
class ScriptedSocket {
  static sockets = [];
  static #waiting = [];
  sent = [];
  isClosed = false;

  constructor(address, protocol) {
    Object.assign(this, { address, protocol });
    ScriptedSocket.sockets.push(this);
    ScriptedSocket.#waiting.shift()?.(this);
  }

  /** The next connection that a client opens. */
  static next() {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.isClosed = true;
  }

  say(...messages) {
    for (const message of messages) this.onmessage?.({ data: textOf(message) });
  }
}

const settings = { url: "https://config.example.com/base/", token: "kv_token", WebSocket: ScriptedSocket };
const change = (from, to, value) => ({
  type: "changes",
  environment: "acme/web/production",
  previousRevision: from,
  revision: to,
  cursor: `${to}-m`,
  changes: [{ op: "set", name: "A", value, isSecret: false, version: 1, revision: to }],
});

/** Runs a loop beside the test; `turns` has what it was given. */
function loop(watch, body = () => {}) {
  const turns = [];
  const done = (async () => {
    for await (const configuration of watch) {
      turns.push(configuration);
      if ((await body(configuration)) === "break") return;
    }
  })();
  // Whoever waits for it sees the error.
  done.catch(() => {});
  return { turns, done };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

async function connected(watch, body) {
  const next = ScriptedSocket.next();
  const running = loop(watch, body);
  const socket = await next;
  socket.onopen();
  socket.say("ready", "subscribed", "snapshot");
  await turn();
  return { ...running, socket };
}

test("the token travels in the first message, and nowhere else", async () => {
  const client = new KeyvaneClient(settings);
  const { socket, turns, done } = await connected(client.watch("acme/web/production"), () => "break");
  await done;
  assert.equal(socket.address, "wss://config.example.com/base/v1/watch");
  assert.equal(socket.protocol, "keyvane.v1");
  assert.deepEqual(socket.sent, [
    { type: "authenticate", token: "kv_token" },
    { type: "subscribe", id: 1, environment: "acme/web/production" },
  ]);
  assert.equal(turns[0].get("DB_HOST"), "10.0.0.5");
  assert.equal(turns[0].entry("DB_PASSWORD").isSecret, true);
  assert.ok(socket.isClosed, "leaving the loop closes the connection");
  assert.doesNotMatch(inspect(client, { depth: 9, showHidden: true }), /kv_token/);
});

test("a slow body gets the newest state next, not every one", async () => {
  let proceed;
  const held = new Promise((resolve) => (proceed = resolve));
  const { socket, turns, done } = await connected(new KeyvaneClient(settings).watch("acme/web/production"), () => held);
  for (let revision = 57; revision < 1_057; revision++) socket.say(change(revision, revision + 1, `${revision + 1}`));
  proceed();
  await turn();
  assert.deepEqual(turns.map(({ revision }) => revision), [57, 1_057]);
  assert.equal(turns[1].get("A"), "1057");
  assert.equal(turns[0].get("A"), undefined, "what was handed out doesn't change any more");
  assert.throws(() => (turns[1].entry("A").value = "x"), TypeError);
  socket.onclose({ code: 4400, reason: "" });
  await assert.rejects(done, { code: "bad_message" });
});

test("what came right before the end is handed out before the end", async () => {
  let proceed;
  const held = new Promise((resolve) => (proceed = resolve));
  const { socket, turns, done } = await connected(new KeyvaneClient(settings).watch("acme/web/production"), () => held);
  socket.say(change(57, 58, "2"));
  socket.onclose({ code: 4401, reason: "" });
  proceed();
  await assert.rejects(done, { code: "unauthenticated" });
  assert.deepEqual(turns.map(({ revision }) => revision), [57, 58]);
});

test("it reconnects with its cursor, tells of it, and ends by a final close code", async () => {
  const interruptions = [];
  const onInterruption = (error, delay) => interruptions.push([error.code, delay]);
  const { socket, turns, done } = await connected(new KeyvaneClient(settings).watch("acme/web/production", { onInterruption }));
  socket.say({ type: "closing", reason: "drain", reconnectAfterMs: 5 });
  const next = ScriptedSocket.next();
  socket.onclose({ code: 1012, reason: "" });
  const second = await next;
  second.onopen();
  assert.equal(second.sent[1].since, "57-9f3a01c2");
  second.say({ type: "subscribed", id: 2, environment: "acme/web/production" }, change(57, 58, "2"));
  await turn();
  assert.deepEqual(turns.map(({ revision }) => revision), [57, 58]);
  assert.deepEqual(interruptions, [["draining", 5]]);
  const count = ScriptedSocket.sockets.length;
  second.onclose({ code: 4401, reason: "the token is revoked" });
  await assert.rejects(done, { code: "unauthenticated", message: "the token is revoked", isFinal: true });
  assert.equal(ScriptedSocket.sockets.length, count);
});

test("a connection that says nothing, or doesn't open, is given up", async () => {
  const codes = [];
  const client = new KeyvaneClient({ ...settings, connectTimeoutMs: 5, silenceTimeoutMs: 5 });
  let next = ScriptedSocket.next();
  const { done } = loop(client.watch("acme/web/production", { onInterruption: ({ code }) => codes.push(code) }));
  const silent = await next;
  silent.onopen();
  next = ScriptedSocket.next();
  const unopened = await next;
  next = ScriptedSocket.next();
  (await next).onopen();
  assert.deepEqual(codes, ["silent", "unreachable"]);
  assert.ok(silent.isClosed && unopened.isClosed);
  next = ScriptedSocket.next();
  const last = await next;
  last.onopen();
  last.onclose({ code: 4404, reason: "" });
  await assert.rejects(done, { code: "environment_not_found" });
});

test("a slower heartbeat stretches the silence, and a connection gone before its time is told as lost", async () => {
  const codes = [];
  const client = new KeyvaneClient({ ...settings, silenceTimeoutMs: 5 });
  const { socket } = await connected(client.watch("acme/web/production", { onInterruption: ({ code }) => codes.push(code) }), () => {});
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.deepEqual(codes, []);
  socket.onclose({ code: 1006, reason: "" });
  await turn();
  assert.deepEqual(codes, ["connection_lost"]);
  const last = await ScriptedSocket.next();
  last.onopen();
  last.onclose({ code: 4400, reason: "" });
});

test("acknowledgements go out while the loop's body runs", async () => {
  const watch = new KeyvaneClient(settings).watch("acme/web/production", { acknowledges: true });
  const { socket, done } = await connected(watch, ({ revision }) => {
    watch.acknowledge(revision);
    watch.acknowledge(revision, "failed", "the port is taken");
    return "break";
  });
  await done;
  const place = { type: "ack", environment: "acme/web/production", revision: 57 };
  assert.deepEqual(socket.sent.slice(2), [
    { ...place, status: "applied" },
    { ...place, status: "failed", message: "the port is taken" },
  ]);
  watch.acknowledge(57);
  assert.equal(socket.sent.length, 4, "nothing is sent on a connection that is gone");
});

test("an acknowledgement's text is well-formed, wherever it is cut", () => {
  const state = new WatchState("acme/web/production", { acknowledges: true });
  state.opened();
  ["subscribed", "snapshot"].forEach((name) => state.received(golden(name)));
  assert.equal(state.acknowledge(57, "failed", "\udc80 x")[0].message, "\ufffd x");
  assert.equal(state.acknowledge(57, "failed", "🔑".repeat(1_100))[0].message, "🔑".repeat(1_000));
});

test("each loop starts with the whole configuration", async () => {
  const watch = new KeyvaneClient(settings).watch("acme/web/production");
  for (let round = 0; round < 2; round++) {
    const { turns, done } = await connected(watch, () => "break");
    await done;
    assert.deepEqual(turns.map(({ revision }) => revision), [57]);
  }
});

test("an error in the loop's body, or in onInterruption, is the caller's", async () => {
  const watch = new KeyvaneClient(settings).watch("acme/web/production");
  const { done, socket } = await connected(watch, () => {
    throw new RangeError("mine");
  });
  await assert.rejects(done, RangeError);
  assert.ok(socket.isClosed);
  const onInterruption = () => {
    throw new RangeError("mine too");
  };
  const other = await connected(new KeyvaneClient(settings).watch("acme/web/production", { onInterruption }));
  other.socket.onclose({ code: 1001, reason: "" });
  await assert.rejects(other.done, RangeError);
});

test("settings that cannot work are refused at once", () => {
  for (const url of ["", "config.example.com", "ftp://x", "https://", "https://u:p@x", "https://x/?q", "https://x/#f"]) {
    assert.throws(() => new KeyvaneClient({ ...settings, url }), { code: "invalid_url" }, url);
  }
  assert.throws(() => new KeyvaneClient({ ...settings, token: "" }), { code: "invalid_token" });
  assert.throws(() => new KeyvaneClient({ ...settings, WebSocket: null }), { code: "no_websocket" });
});
