// What has come before its picture: held until the frame is on show.

import { TICKS_PER_S, ticksFrom } from "./frames.js";

// What the server may send ahead (`lead_ms` is at most 1,000), and a second for what happens in between. A snapshot
// names no segment; one that lies further ahead than this is of another discontinuity.
const MAX_LEAD_TICKS = 2 * TICKS_PER_S;

/**
 * @typedef {object} Held Something to be told with its picture: a cue, or a state.
 * @property {"cue" | "state"} kind
 * @property {any} value
 */

/** Hold cues and states, in the order in which they came. */
export class Queue {
  /** @param {import("./frames.js").Frames} frames */
  constructor(frames) {
    this.frames = frames;
    /** @type {Held[]} */
    this.held = [];
  }

  /** @param {Held} item */
  push(item) {
    this.held.push(item);
  }

  /** Forget what waits: it will come again. */
  clear() {
    this.held = [];
  }

  /**
   * Return what is due when `place` is on show, and let it go; all of it if `place` is null: there is no picture.
   * @param {import("./frames.js").Place | null} place
   * @returns {Held[]}
   */
  take(place) {
    /** @type {Held[]} */
    const due = [];
    /** @type {Held[]} */
    const kept = [];
    let stateWaits = false;
    for (const item of this.held) {
      // Nothing overtakes a state: it is what the cues behind it stand on.
      /** @type {boolean} */
      const isDue = !stateWaits && (place === null || this.#isDue(item, place));
      stateWaits ||= !isDue && item.kind === "state";
      (isDue ? due : kept).push(item);
    }
    this.held = kept;
    return due;
  }

  /**
   * @param {Held} item
   * @param {import("./frames.js").Place} place
   */
  #isDue(item, place) {
    if (item.kind === "cue") return this.frames.reached(item.value, place);
    const asOf = item.value.asOf;
    if (!asOf) return true;
    // What comes while another showing is on show is for when it is over.
    if (place.away) return false;
    // As of the tick before which all is told: the last picture in it is a tick earlier.
    const ahead = ticksFrom(place.pts, asOf.pts - 1);
    return ahead <= 0 || ahead > MAX_LEAD_TICKS;
  }
}
