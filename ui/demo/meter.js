// How far cues fire from their picture, in frames that were shown.
//
// A cue says which frame its fact happened on; the picture says which frame it is. What counts is what a viewer saw: 0 means
// that the cue fired on the first frame shown at or behind its own, 3 that three such frames had been shown before. Below
// 0 it would have fired before its picture.

// A minute and a half of frames: what is later than that is counted by numbers alone.
const KEPT = 2_250;

/** @typedef {"even" | "vendor" | "gap" | "unread"} Kind What kept a cue: nothing, its vendor, a break of the socket. */

/** Judge the cues of one viewer. */
export class Meter {
  constructor() {
    /** @type {number[]} Numbers that were shown, in their order; they rise but for a seek backwards. */
    this.shown = [];
    this.dropped = 0;
    this.count = 0;
    this.right = 0;
    this.early = 0;
    /** @type {number} The furthest of those that were neither late by their vendor nor caught up. */
    this.worst = 0;
    this.byVendor = 0;
    this.caughtUp = 0;
    this.unread = 0;
    /** @type {Map<number, number>} Of those that nothing kept. */
    this.histogram = new Map();
  }

  /**
   * Take in a frame that is presented.
   * @param {number | null} number
   */
  present(number) {
    if (number === null) return;
    const last = this.shown.at(-1);
    if (last === number) return;
    // A gap of more than a second is a seek or an encoder's restart, not a dropped frame.
    if (last !== undefined && number > last + 1 && number - last < 25) this.dropped += number - last - 1;
    if (last !== undefined && number < last) this.shown = this.shown.filter((other) => other < number);
    this.shown.push(number);
    if (this.shown.length > KEPT) this.shown.splice(0, KEPT / 3);
  }

  /**
   * Return how far a cue of frame `own` fires from its picture when `shown` is on show.
   * @param {number} own
   * @param {number} shown
   */
  error(own, shown) {
    if (shown < own) return shown - own;
    if (this.shown.length === 0 || own < this.shown[0]) return shown - own;
    return this.shown.filter((number) => own <= number && number < shown).length;
  }

  /**
   * Count a cue.
   * @param {{frame: number, shown: number | null, late: boolean, gap: boolean}} cue `late`: sealed after its picture was
   *   out; `gap`: the socket has just come back
   * @returns {{error: number | null, kind: Kind}}
   */
  cue({ frame, shown, late, gap }) {
    if (shown === null) {
      this.unread += 1;
      return { error: null, kind: "unread" };
    }
    const error = this.error(frame, shown);
    this.count += 1;
    if (error < 0) this.early += 1;
    if (error === 0) this.right += 1;
    const kind = error > 0 && gap ? "gap" : error > 0 && late ? "vendor" : "even";
    if (kind === "gap") this.caughtUp += 1;
    else if (kind === "vendor") this.byVendor += 1;
    else {
      this.histogram.set(error, (this.histogram.get(error) ?? 0) + 1);
      if (Math.abs(error) > Math.abs(this.worst)) this.worst = error;
    }
    return { error, kind };
  }

  /** How many cues nothing but us could have kept. */
  get even() {
    return this.count - this.byVendor - this.caughtUp;
  }

  /** Which share of those fired within a frame of their picture, 0 to 1; 1 while there are none. */
  get share() {
    if (this.even === 0) return 1;
    let near = 0;
    for (const [error, count] of this.histogram) if (error === 0 || error === 1) near += count;
    return near / this.even;
  }
}
