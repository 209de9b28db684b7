// Keyvane
// SPDX-License-Identifier: Apache-2.0

/**
 * The part of the WebSocket interface that keyvane.js uses, for Nodes that have none (before 22), over node:http and node:https.
 *
 *     new KeyvaneClient({ url, token, WebSocket: NodeWebSocket });
 *     new KeyvaneClient({ url, token, WebSocket: NodeWebSocket.with({ ca: readFileSync("ca.pem") }) });
 *
 * Text messages, fragmented or not, pings, and both closing handshakes of RFC 6455; no extensions.
 */

import { createHash, randomBytes } from "node:crypto";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";

const CONTINUATION = 0x0;
const TEXT = 0x1;
const CLOSE = 0x8;
const PING = 0x9;
const PONG = 0xa;
/** The gateway's snapshots have 32 MiB at most; the rest is for what surrounds the values. */
const LARGEST_MESSAGE = 40 * 1024 * 1024;
const CLOSE_TIMEOUT_MS = 5_000;

export class NodeWebSocket {
  onopen = null;
  onmessage = null;
  onerror = null;
  onclose = null;

  #request;
  #socket;
  #parser = new FrameParser();
  /** The fragments of a message that isn't complete, and their size. @type {Buffer[]} */
  #fragments = [];
  #size = 0;
  #hasSentClose = false;
  #hasEnded = false;

  /** A class whose connections have these options of `https.request`, such as `ca`, `cert` and `key`. */
  static with(options) {
    return class extends NodeWebSocket {
      constructor(address, protocol) {
        super(address, protocol, options);
      }
    };
  }

  constructor(address, protocol, options = {}) {
    const url = new URL(address);
    const request = url.protocol === "wss:" ? httpsRequest : httpRequest;
    url.protocol = url.protocol.replace("ws", "http");
    const key = randomBytes(16).toString("base64");
    const headers = {
      Connection: "Upgrade",
      Upgrade: "websocket",
      "Sec-WebSocket-Version": "13",
      "Sec-WebSocket-Key": key,
      "Sec-WebSocket-Protocol": protocol,
    };
    this.#request = request(url, { ...options, headers });
    this.#request.on("upgrade", (response, socket, head) => this.#upgraded(response, socket, head, key));
    this.#request.on("response", (response) => this.#fail(new Error(`the server answered with status ${response.statusCode}`)));
    this.#request.on("error", (error) => this.#fail(error));
    this.#request.end();
  }

  send(text) {
    if (!this.#hasSentClose) this.#write(TEXT, Buffer.from(text));
  }

  close(code = 1000, reason = "") {
    if (!this.#socket) return this.#fail(new Error("closed before it was open"));
    if (this.#hasSentClose) return;
    const payload = Buffer.concat([Buffer.alloc(2), Buffer.from(reason)]);
    payload.writeUInt16BE(code);
    this.#write(CLOSE, payload);
    this.#hasSentClose = true;
    // The server closes the connection after its own close frame; a server that is dead doesn't.
    setTimeout(() => this.#socket.destroy(), CLOSE_TIMEOUT_MS).unref();
  }

  #upgraded(response, socket, head, key) {
    // RFC 6455, section 4.2.2: the proof that the other side speaks WebSocket.
    const proof = createHash("sha1").update(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest("base64");
    if (response.headers["sec-websocket-accept"] !== proof) {
      socket.destroy();
      return this.#fail(new Error("the server's answer is no upgrade to a WebSocket"));
    }
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (bytes) => this.#received(bytes));
    socket.on("error", () => {});
    socket.on("close", () => this.#end(1006, ""));
    socket.on("end", () => socket.end());
    this.onopen?.({});
    // The first message may come in one segment with the answer.
    if (head.length) this.#received(head);
  }

  #received(bytes) {
    try {
      for (const frame of this.#parser.feed(bytes)) {
        if (this.#hasEnded) return;
        this.#frameReceived(frame);
      }
    } catch (error) {
      this.close(error.closeCode ?? 1002, error.message);
      this.#end(error.closeCode ?? 1002, error.message);
    }
  }

  #frameReceived({ opcode, isFinal, payload }) {
    switch (opcode) {
      case TEXT:
      case CONTINUATION:
        return this.#dataReceived(opcode, isFinal, payload);
      case PING:
        return this.#hasSentClose || this.#write(PONG, payload);
      case PONG:
        return;
      case CLOSE: {
        const code = payload.length >= 2 ? payload.readUInt16BE() : 1005;
        this.close(code === 1005 ? 1000 : code);
        this.#socket.end();
        return this.#end(code, payload.subarray(2).toString());
      }
      default:
        throw new FrameError(1003, "a message that isn't text");
    }
  }

  #dataReceived(opcode, isFinal, payload) {
    if ((opcode === CONTINUATION) !== this.#fragments.length > 0) throw new FrameError(1002, "fragments out of order");
    this.#fragments.push(payload);
    this.#size += payload.length;
    if (this.#size > LARGEST_MESSAGE) throw new FrameError(1009, "a message that is too large");
    if (!isFinal) return;
    const data = Buffer.concat(this.#fragments).toString();
    this.#fragments = [];
    this.#size = 0;
    this.onmessage?.({ data });
  }

  #write(opcode, payload) {
    this.#socket.write(maskedFrame(opcode, payload));
  }

  #fail(error) {
    this.#request.destroy();
    if (!this.#hasEnded) this.onerror?.({ error, message: error.message });
    this.#end(1006, "");
  }

  #end(code, reason) {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.onclose?.({ code, reason });
  }
}

class FrameError extends Error {
  constructor(closeCode, message) {
    super(message);
    this.closeCode = closeCode;
  }
}

/** Cuts bytes into frames. A frame that is not complete waits as it came, in chunks, and costs one copy. */
export class FrameParser {
  /** @type {Buffer[]} */
  #chunks = [];
  #size = 0;
  /** How many bytes are needed before there is more to say. */
  #needed = 2;

  /** @param {Buffer} bytes */
  *feed(bytes) {
    this.#chunks.push(bytes);
    this.#size += bytes.length;
    while (this.#size >= this.#needed) {
      const all = this.#chunks.length === 1 ? this.#chunks[0] : Buffer.concat(this.#chunks);
      this.#chunks = [all];
      const { end, frame } = parseFrame(all);
      this.#needed = end;
      if (!frame) continue;
      this.#chunks = [all.subarray(end)];
      this.#size -= end;
      this.#needed = 2;
      yield frame;
    }
  }
}

/** RFC 6455, section 5.2. Without a frame, `end` is how many bytes it takes to know more. */
function parseFrame(bytes) {
  const [first, second] = bytes;
  if (first & 0x70 || second & 0x80) throw new FrameError(1002, "a frame with a mask or with an extension");
  const short = second & 0x7f;
  const start = short < 126 ? 2 : short === 126 ? 4 : 10;
  if (bytes.length < start) return { end: start };
  const length = short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
  if (length > LARGEST_MESSAGE) throw new FrameError(1009, "a message that is too large");
  const end = start + length;
  if (bytes.length < end) return { end };
  return { end, frame: { opcode: first & 0x0f, isFinal: (first & 0x80) !== 0, payload: bytes.subarray(start, end) } };
}

/** A frame as a client sends it: whole, and masked (section 5.3). */
function maskedFrame(opcode, payload) {
  const { length } = payload;
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
  head[0] = 0x80 | opcode;
  head[1] = 0x80 | (length < 126 ? length : length < 65_536 ? 126 : 127);
  if (head.length === 4) head.writeUInt16BE(length, 2);
  if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2);
  const mask = randomBytes(4);
  return Buffer.concat([head, mask, payload.map((byte, index) => byte ^ mask[index & 3])]);
}
