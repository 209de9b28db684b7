// Keyvane
// SPDX-License-Identifier: Apache-2.0

/**
 * The JavaScript client as a process of the shared scenario: commands come in on standard input, what the loop over a watch sees goes
 * out on standard output, one JSON object a line.
 */

import { createInterface } from "node:readline";
import { KeyvaneClient } from "../../clients/javascript/keyvane.js";
import { NodeWebSocket } from "../../clients/javascript/node-websocket.js";

const write = (report) => process.stdout.write(JSON.stringify(report) + "\n");

let watch;
/** The loop waits for it behind each turn. */
let gate = Promise.resolve();
let openGate = () => {};

async function report() {
  try {
    for await (const { revision, cursor, values } of watch) {
      write({ event: "configuration", revision, cursor, values });
      await gate;
    }
  } catch (error) {
    write({ event: "ended", code: error.code });
  }
}

const commands = {
  watch({ url, token, environment }) {
    const onInterruption = ({ code }, retryAfterMs) => write({ event: "interrupted", code, retryAfterMs });
    watch = new KeyvaneClient({ url, token, WebSocket: NodeWebSocket }).watch(environment, { acknowledges: true, onInterruption });
    report();
  },
  acknowledge: ({ revision, status, message }) => watch.acknowledge(revision, status, message),
  pause: () => (gate = new Promise((resolve) => (openGate = resolve))),
  continue: () => openGate(),
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  commands[command.do](command);
}
process.exit(0);
