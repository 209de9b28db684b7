// Keyvane
// SPDX-License-Identifier: Apache-2.0

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createServer as createTLSServer } from "node:tls";
import { FrameParser, NodeWebSocket } from "./node-websocket.js";

const TEXT = 0x81;
const CLOSE = 0x88;
const PING = 0x89;
const PONG = 0x8a;

/** A frame as a server sends it. */
function frame(first, payload = "") {
  const bytes = Buffer.from(payload);
  const head = Buffer.alloc(bytes.length < 126 ? 2 : bytes.length < 65_536 ? 4 : 10);
  head[0] = first;
  head[1] = head.length === 2 ? bytes.length : head.length === 4 ? 126 : 127;
  if (head.length === 4) head.writeUInt16BE(bytes.length, 2);
  if (head.length === 10) head.writeBigUInt64BE(BigInt(bytes.length), 2);
  return Buffer.concat([head, bytes]);
}

const closeFrame = (code, reason = "") => frame(CLOSE, Buffer.concat([Buffer.from([code >> 8, code & 0xff]), Buffer.from(reason)]));

/** The first frame that a client sent, unmasked. */
function unmasked(bytes) {
  assert.ok(bytes[1] & 0x80, "a client masks");
  const short = bytes[1] & 0x7f;
  const start = short < 126 ? 2 : short === 126 ? 4 : 10;
  const length = short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
  const mask = bytes.subarray(start, start + 4);
  const payload = bytes.subarray(start + 4, start + 4 + length).map((byte, index) => byte ^ mask[index & 3]);
  return { first: bytes[0], payload: Buffer.from(payload), rest: bytes.subarray(start + 4 + length) };
}

/** A server that answers the upgrade by `answer(key)` and lends its socket and the client's to the test. */
async function withServer(answer, body, { tls, WebSocket = NodeWebSocket } = {}) {
  const received = [];
  const upgraded = resolvers();
  const serve = (socket) => {
    let head = "";
    socket.on("error", () => {});
    socket.on("data", function read(bytes) {
      head += bytes.toString("latin1");
      if (!head.includes("\r\n\r\n")) return;
      socket.off("data", read);
      socket.on("data", (bytes) => received.push(bytes));
      socket.write(answer(/^sec-websocket-key: (.*)\r$/im.exec(head)[1]));
      upgraded.resolve({ socket, head });
    });
  };
  const server = tls ? createTLSServer(tls, serve) : createServer(serve);
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const client = new WebSocket(`${tls ? "wss" : "ws"}://127.0.0.1:${server.address().port}/v1/watch`, "keyvane.v1");
  const events = [];
  let heard = () => {};
  const note = (...event) => {
    events.push(event);
    heard();
  };
  client.onopen = () => note("open");
  client.onmessage = ({ data }) => note("message", data);
  client.onclose = ({ code, reason }) => note("close", code, reason);
  /** Waits until so many things have happened. */
  const after = async (count) => {
    while (events.length < count) await new Promise((resolve) => (heard = resolve));
    return events;
  };
  try {
    await body({ client, after, received, ...(await upgraded.promise) });
  } finally {
    client.close();
    (await upgraded.promise).socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
}

function resolvers() {
  const made = {};
  made.promise = new Promise((resolve) => (made.resolve = resolve));
  return made;
}

const accept = (key) => createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
const upgrade = (key) =>
  `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept(key)}\r\n\r\n`;

/** What the client has sent once there are `size` bytes of it. */
async function bytesFrom({ socket, received }, size) {
  while (Buffer.concat(received).length < size) await new Promise((resolve) => socket.once("data", resolve));
  return Buffer.concat(received);
}

test("frames are the same wherever the bytes are cut", () => {
  const large = randomBytes(70_000).toString("hex");
  const bytes = Buffer.concat([frame(TEXT, "é"), frame(PING), frame(TEXT, "x".repeat(300)), frame(TEXT, large), closeFrame(1012, "drain")]);
  const read = (...parts) => {
    const parser = new FrameParser();
    return parts.flatMap((part) => [...parser.feed(part)]).map(({ opcode, payload }) => [opcode, payload.toString("hex")]);
  };
  const whole = read(bytes);
  assert.equal(whole.length, 5);
  assert.equal(whole[3][1], Buffer.from(large).toString("hex"));
  for (let cut = 0; cut < 400; cut++) assert.deepEqual(read(bytes.subarray(0, cut), bytes.subarray(cut)), whole);
  assert.deepEqual(read(...Array.from(bytes.subarray(0, 400), (byte) => Buffer.from([byte])), bytes.subarray(400)), whole);
});

test("the handshake, a first message in the answer's own segment, and messages of every size out", () =>
  withServer((key) => Buffer.concat([Buffer.from(upgrade(key)), frame(TEXT, "hello")]), async (server) => {
    assert.deepEqual(await server.after(2), [["open"], ["message", "hello"]]);
    assert.match(server.head, /^GET \/v1\/watch HTTP\/1\.1\r$/m);
    assert.match(server.head, /^sec-websocket-protocol: keyvane\.v1\r$/im);
    let expected = 0;
    for (const [size, head] of [[0, 6], [125, 6], [126, 8], [65_535, 8], [65_536, 14]]) {
      server.client.send("x".repeat(size));
      expected += head + size;
    }
    let rest = await bytesFrom(server, expected);
    for (const size of [0, 125, 126, 65_535, 65_536]) {
      const sent = unmasked(rest);
      assert.equal(sent.first, TEXT);
      assert.equal(sent.payload.toString(), "x".repeat(size));
      rest = sent.rest;
    }
  }));

test("fragments become one message, also with a ping between them, which is answered", () =>
  withServer(upgrade, async (server) => {
    server.socket.write(Buffer.concat([frame(0x01, "one "), frame(PING, "p"), frame(0x00), frame(0x80, "message")]));
    assert.deepEqual((await server.after(2))[1], ["message", "one message"]);
    const { first, payload } = unmasked(await bytesFrom(server, 7));
    assert.deepEqual([first, payload.toString()], [PONG, "p"]);
  }));

test("a close frame is answered with its code, and reported once", () =>
  withServer(upgrade, async (server) => {
    server.socket.write(Buffer.concat([closeFrame(4401, "the token is revoked"), frame(TEXT, "too late")]));
    assert.deepEqual((await server.after(2))[1], ["close", 4401, "the token is revoked"]);
    assert.equal(unmasked(await bytesFrom(server, 8)).payload.readUInt16BE(), 4401);
    server.client.send("nothing goes out behind a close frame");
    assert.equal((await server.after(2)).length, 2);
  }));

test("a close frame without a code, and an end without a close frame", async () => {
  await withServer(upgrade, async (server) => {
    server.socket.write(frame(CLOSE));
    assert.deepEqual((await server.after(2))[1], ["close", 1005, ""]);
  });
  await withServer(upgrade, async (server) => {
    server.socket.destroy();
    assert.deepEqual((await server.after(2))[1], ["close", 1006, ""]);
  });
});

for (const [what, bytes, code] of [
  ["a masked frame", Buffer.from([0x81, 0x80, 0, 0, 0, 0]), 1002],
  ["an extension's bit", Buffer.from([0xc1, 0x00]), 1002],
  ["a continuation of nothing", frame(0x80, "x"), 1002],
  ["a message inside of a message", Buffer.concat([frame(0x01, "x"), frame(TEXT, "y")]), 1002],
  ["a binary message", frame(0x82, "x"), 1003],
  ["a length that nobody has", Buffer.from([0x81, 127, 0x7f, 0, 0, 0, 0, 0, 0, 0]), 1009],
]) {
  test(`${what} ends the connection with ${code}`, () =>
    withServer(upgrade, async (server) => {
      server.socket.write(bytes);
      assert.deepEqual((await server.after(2))[1].slice(0, 2), ["close", code]);
      assert.equal(unmasked(await bytesFrom(server, 8)).payload.readUInt16BE(), code);
    }));
}

for (const [what, answer] of [
  ["a refusal", () => "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"],
  ["an upgrade without the proof", () => upgrade("another key")],
  ["an answer that isn't HTTP", () => "220 mail.example.com\r\n\r\n"],
]) {
  test(`${what} is a close without an opening`, () =>
    withServer(answer, async (server) => assert.deepEqual(await server.after(1), [["close", 1006, ""]])));
}

test("TLS: an authority of one's own is taken where it is passed in, and refused where it isn't", async () => {
  const folder = mkdtempSync(join(tmpdir(), "keyvane-"));
  try {
    const files = ["-keyout", join(folder, "key.pem"), "-out", join(folder, "cert.pem")];
    const subject = ["-subj", "/CN=keyvane", "-addext", "subjectAltName=IP:127.0.0.1"];
    execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", ...files, ...subject], { stdio: "ignore" });
    const tls = { key: readFileSync(join(folder, "key.pem")), cert: readFileSync(join(folder, "cert.pem")) };
    await withServer(
      upgrade,
      async (server) => {
        server.socket.write(frame(TEXT, "hello"));
        assert.deepEqual(await server.after(2), [["open"], ["message", "hello"]]);
        const address = `wss://127.0.0.1:${server.socket.localPort}/`;
        const stranger = new NodeWebSocket(address, "keyvane.v1");
        assert.equal(await new Promise((resolve) => (stranger.onclose = ({ code }) => resolve(code))), 1006);
      },
      { tls, WebSocket: NodeWebSocket.with({ ca: tls.cert }) },
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("closing before it is open, and where nobody listens", async () => {
  const client = new NodeWebSocket("ws://127.0.0.1:1/v1/watch", "keyvane.v1");
  const code = await new Promise((resolve) => (client.onclose = ({ code }) => resolve(code)));
  assert.equal(code, 1006);
  const other = new NodeWebSocket("ws://127.0.0.1:1/v1/watch", "keyvane.v1");
  const closed = new Promise((resolve) => (other.onclose = ({ code }) => resolve(code)));
  other.close();
  assert.equal(await closed, 1006);
});
