// The hub's data in lockstep with a player's picture. Wiring only: a socket and two timers; the rest is in the modules
// beside.

import { HlsPlayer } from "./hls-player.js";
import { Queue } from "./queue.js";
import { Session, STALE_MS } from "./session.js";

const PATH = "/api/v1/wagering/subscribe";

/**
 * @typedef {object} Options
 * @property {string} url where the hub is: "wss://host", or "https://host"
 * @property {string} event the showing
 * @property {string | (() => string | Promise<string>)} token the one that the player uses too, or what gives it
 * @property {any} [hls] an hls.js instance, before it loads its source; without one cues are told as they come
 * @property {HTMLVideoElement} [video] the element that it plays on
 * @property {HlsPlayer} [player] another player of the same shape, in place of `hls` and `video`
 * @property {Record<string, any>} [wish] fields of `sub`: types, markets, teams, conflate_ms, heartbeat_ms
 * @property {number} [leadMs] how long before its picture a cue may come; 0 to 1,000
 * @property {number} [reportMs] how often the playhead is reported; 1,000 to 5,000
 * @property {{subprotocol: string, encode: (message: any) => any, decode: (data: any) => any}} [codec] MessagePack
 * @property {() => number} [random] from 0 up to 1
 */

const JSON_CODEC = { subprotocol: "lockstep.v1.json", encode: JSON.stringify, decode: JSON.parse };

/** Events: `cue`, `state`, `stale`, `session`, `frame` (any other frame of the server's), `bye`. */
export class Lockstep {
  /** @param {Options} options */
  constructor(options) {
    const { hls, video, player, leadMs = 250 } = options;
    this.options = options;
    this.player = player ?? (hls && video ? new HlsPlayer(hls, video) : null);
    this.session = new Session({ mode: "viewer", ...options.wish, ...(this.player ? { lead_ms: leadMs } : {}) });
    this.queue = this.player ? new Queue(this.player.frames) : null;
    /** @type {Map<string, ((detail: any) => void)[]>} */
    this.listeners = new Map();
    /** @type {WebSocket | null} */
    this.socket = null;
    this.stale = true;
    this.mayWager = false;
    this.closed = false;
    this.isSubscribed = false;
    /** @type {number} */
    this.staleTimer = 0;
    /** @type {number} */
    this.retryTimer = 0;
    this.retryMs = 0;
    this.codec = options.codec ?? JSON_CODEC;
    /** @type {number} */
    this.reportTimer = 0;
    if (this.player) {
      this.player.onframe = (place) => this.#release(place);
      this.player.onend = () => this.#release(null);
      this.player.onchange = () => this.#report();
      this.reportTimer = setInterval(() => this.#report(), options.reportMs ?? 2_000);
    }
    this.#connect();
  }

  /**
   * Call `listener` at each event of a name. Returns this, for more of them.
   * @param {"cue" | "state" | "stale" | "session" | "frame" | "bye"} name
   * @param {(detail: any) => void} listener
   */
  on(name, listener) {
    this.listeners.set(name, [...(this.listeners.get(name) ?? []), listener]);
    return this;
  }

  /**
   * Go on under another token of the same account and event.
   * @param {string} token
   */
  renew(token) {
    this.options.token = token;
    this.#send({ op: "auth", token });
  }

  /**
   * Change what is wanted: fields of `update`.
   * @param {Record<string, any>} changes
   */
  update(changes) {
    Object.assign(this.session.wish, changes);
    this.#send({ op: "update", ...changes });
  }

  /** End it. */
  close() {
    this.closed = true;
    clearInterval(this.reportTimer);
    clearTimeout(this.retryTimer);
    clearTimeout(this.staleTimer);
    this.player?.close();
    this.socket?.close(1000);
  }

  async #connect() {
    const { url, event, token } = this.options;
    /** @type {string} */
    let secret;
    try {
      secret = typeof token === "function" ? await token() : token;
    } catch {
      this.#ended(1006, null);
      return;
    }
    if (this.closed) return;
    const { subprotocol, decode } = this.codec;
    const where = `${url.replace(/^http/, "ws").replace(/\/$/, "")}${PATH}?event_id=${encodeURIComponent(event)}`;
    const socket = new WebSocket(where, [subprotocol]);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    this.isSubscribed = false;
    this.retryMs = 0;
    /** @type {any} */
    let bye = null;
    socket.onopen = () => {
      // A token never stands in the URL of a socket.
      this.#send({ op: "auth", token: secret });
      this.#subscribe();
    };
    socket.onmessage = ({ data }) => {
      const frame = decode(data);
      if (frame.op === "bye") bye = frame;
      this.#receive(frame);
    };
    socket.onclose = ({ code }) => this.#ended(bye?.code ?? code, bye);
  }

  /** Say `sub` once it is known where the player is: until its picture shows there is nothing to keep step with. */
  #subscribe() {
    if (this.isSubscribed || this.socket?.readyState !== WebSocket.OPEN) return;
    if (this.player && !this.#sendPlace()) return;
    this.isSubscribed = true;
    this.#send(this.session.sub());
  }

  #report() {
    if (this.isSubscribed) this.#sendPlace();
    else this.#subscribe();
  }

  #sendPlace() {
    const player = this.player;
    if (!player?.place) return false;
    const { msn, pts, away } = player.place;
    // Who has seen nothing but what stands in for a blackout goes by the newest picture: that is dark as well.
    if (msn === null) return true;
    const elsewhere = away ? { away: true } : {};
    this.#send({ op: "pos", msn, pts, rate: player.rate, stalled: player.stalled, ...elsewhere });
    return true;
  }

  /** @param {any} message */
  #send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(this.codec.encode(message));
  }

  /** @param {any} frame */
  #receive(frame) {
    const now = performance.now();
    const told = this.session.receive(frame, now);
    if (frame.op === "hb") {
      clearTimeout(this.staleTimer);
      this.staleTimer = setTimeout(() => this.#judge(), STALE_MS + 50);
    }
    if (frame.op === "resync" || (frame.op === "sub" && !frame.resumed)) this.queue?.clear();
    if (told) {
      // Safety waits for no picture.
      if (!this.queue || told.value.cls === "safety") this.#emit(told.kind, told.value);
      else this.queue.push(told);
      if (this.player?.place) this.#release(this.player.place);
    } else if (frame.op !== "cue" && frame.op !== "snap" && frame.op !== "bye") {
      // `session`: it has to go, and this is when.
      this.#emit(frame.op === "session" ? "session" : "frame", frame);
    }
    this.#judge();
  }

  /** @param {import("./frames.js").Place | null} place */
  #release(place) {
    for (const { kind, value } of this.queue?.take(place) ?? []) this.#emit(kind, value);
  }

  #judge() {
    const now = performance.now();
    const stale = this.session.isStale(now);
    const mayWager = this.session.mayWager(now);
    if (stale === this.stale && mayWager === this.mayWager) return;
    this.stale = stale;
    this.mayWager = mayWager;
    this.#emit("stale", { stale, mayWager });
  }

  /**
   * @param {number} code
   * @param {any} bye
   */
  #ended(code, bye) {
    if (this.closed) return;
    const waitMs = this.session.waitMs(code, bye?.retry_ms ?? 0, (this.options.random ?? Math.random)());
    this.#judge();
    this.#emit("bye", { code, reason: bye?.reason ?? "", retryMs: waitMs });
    if (waitMs === null) this.close();
    else this.retryTimer = setTimeout(() => this.#connect(), waitMs);
  }

  /**
   * @param {string} name
   * @param {any} detail
   */
  #emit(name, detail) {
    for (const listener of this.listeners.get(name) ?? []) listener(detail);
  }
}
