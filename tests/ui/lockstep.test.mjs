import assert from "node:assert/strict";
import { test } from "node:test";

import { Lockstep } from "../../ui/sdk/lockstep.js";

class Socket {
  static OPEN = 1;
  static last = /** @type {any} */ (null);

  constructor() {
    this.readyState = Socket.OPEN;
    Socket.last = this;
  }

  send() {}

  close() {}
}

test("a session that has to go is told with its time", async () => {
  globalThis.WebSocket = /** @type {any} */ (Socket);
  const lockstep = new Lockstep({ url: "https://x.test", event: "game", token: "t" });
  /** @type {any[]} */
  const told = [];
  for (const name of /** @type {const} */ (["session", "frame"])) {
    lockstep.on(name, ({ op, ends }) => told.push([name, op, ends]));
  }
  await new Promise(setImmediate);
  const say = (/** @type {any} */ frame) => Socket.last.onmessage({ data: JSON.stringify(frame) });
  say({ op: "hello" });
  say({ op: "session", state: "leaving", ends: 5_000, code: "session_limit", by: "s2" });
  lockstep.close();
  assert.deepEqual(told, [["frame", "hello", undefined], ["session", "session", 5_000]]);
});
