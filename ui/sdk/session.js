// A subscription over any number of connections, without a socket and without a clock: what to say first, what the
// application has not seen yet, whether markets may be shown as open, and when to come back.

export const STALE_MS = 3_000;
const BASE_MS = 500;
const CAP_MS = 30_000;
const MAX_DOUBLINGS = 8;
// Twice what a server keeps for a resume.
const MAX_SEEN = 200_000;

/** @typedef {Record<string, any>} Frame A message of the protocol, see docs/protocol.md. */

export class Session {
  /** @param {Frame} wish the fields of `sub`, without `cur` */
  constructor(wish) {
    this.wish = wish;
    /** @type {string | null} */
    this.cur = null;
    /** @type {string | null | undefined} */
    this.epoch = undefined;
    /** @type {Set<number>} */
    this.seen = new Set();
    /** @type {Map<string, number>} Of facts that were corrected, the newest revision that was shown. */
    this.corrected = new Map();
    /** @type {number | null} When the last heartbeat came, in ms. */
    this.heardAt = null;
    this.allowed = false;
    this.whole = false;
    this.attempts = 0;
    /** @type {Frame} The pieces of a snapshot that have come. */
    this.pieces = {};
  }

  /** Return the `sub` that begins a connection. */
  sub() {
    return { op: "sub", ...this.wish, ...(this.cur ? { cur: this.cur } : {}) };
  }

  /**
   * Take in a frame; return what the application should be told of it: a cue, a whole state, or nothing.
   * @param {Frame} frame
   * @param {number} now in ms
   * @returns {import("./queue.js").Held | null}
   */
  receive(frame, now) {
    switch (frame.op) {
      case "cue":
        return this.#isNew(frame.o) && !this.#isOutdated(frame) ? { kind: "cue", value: frame } : null;
      case "hb":
        this.heardAt = now;
        this.allowed = frame.may_wager === true;
        if (frame.cur) {
          this.cur = frame.cur;
          this.attempts = 0;
        }
        return null;
      case "sub":
        if (frame.epoch !== this.epoch) {
          this.seen.clear();
          this.corrected.clear();
        }
        this.epoch = frame.epoch;
        if (frame.resumed) this.whole = true;
        else this.#beginAnew();
        return null;
      case "resync":
        this.#beginAnew();
        return null;
      case "snap":
        return this.#snap(frame);
      case "bye":
        this.cur = frame.cur ?? this.cur;
    }
    return null;
  }

  /**
   * Return whether the last heartbeat is too long ago: then every market counts as suspended.
   * @param {number} now in ms
   */
  isStale(now) {
    return this.heardAt === null || now - this.heardAt > STALE_MS;
  }

  /**
   * Return whether bets may be offered: the server says so, and said so lately.
   * @param {number} now in ms
   */
  mayWager(now) {
    return this.allowed && this.whole && !this.isStale(now);
  }

  /**
   * Return how many ms to wait before the next connection, null if there should be none.
   * @param {number} code of the Close frame; 1006 if there was none
   * @param {number} retryMs what the server asked for, 0 if it did not
   * @param {number} fraction a random number from 0 up to 1: full jitter, so that ten thousand do not come at once
   */
  waitMs(code, retryMs, fraction) {
    this.allowed = false;
    if ((code >= 4500 && code < 5000) || (code >= 3500 && code < 4000)) return null;
    const spread = Math.min(CAP_MS, BASE_MS * 2 ** Math.min(this.attempts, MAX_DOUBLINGS));
    this.attempts += 1;
    return retryMs + fraction * spread;
  }

  /** @param {number} o */
  #isNew(o) {
    if (this.seen.has(o)) return false;
    this.seen.add(o);
    if (this.seen.size > MAX_SEEN) this.seen.delete(this.seen.values().next().value ?? 0);
    return true;
  }

  /**
   * Return whether a newer revision was shown: a server that goes by an earlier picture does not send that yet. Where
   * one has been ended and another one begun, somebody who resumes may stand further back than it was.
   * @param {Frame} cue
   */
  #isOutdated(cue) {
    if (cue.rev < (this.corrected.get(cue.id) ?? 0)) return true;
    // What the sequencer says of a market in its own name is ordered by `ver`.
    if (cue.rev > 1 && cue.cls !== "safety" && !cue.id.includes(":~")) {
      this.corrected.set(cue.id, cue.rev);
      if (this.corrected.size > MAX_SEEN) this.corrected.delete(this.corrected.keys().next().value ?? "");
    }
    return false;
  }

  #beginAnew() {
    this.cur = null;
    this.corrected.clear();
    this.whole = false;
    this.pieces = {};
  }

  /**
   * @param {Frame} frame
   * @returns {import("./queue.js").Held | null}
   */
  #snap(frame) {
    for (const [name, value] of Object.entries(frame.state)) {
      const known = this.pieces[name];
      const isMap = value && typeof value === "object" && !Array.isArray(value);
      this.pieces[name] = isMap ? { ...known, ...value } : value;
    }
    if (frame.i !== frame.n) return null;
    const state = this.pieces;
    this.pieces = {};
    this.cur = frame.cur;
    this.whole = true;
    return { kind: "state", value: { asOf: frame.as_of, state } };
  }
}
