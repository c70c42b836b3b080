// Which picture a frame is: from the player's own clock to the segment it stands in and the counter in the stream.
//
// PTS = round(mediaTime * 90000) + initPTS[cc], modulo 2^33. `mediaTime` is a presented frame's, `cc` the number of
// discontinuities before it; a player that lays segments end to end finds one `initPTS` for each.

export const TICKS_PER_S = 90_000;
const WRAP = 2 ** 33;
const HALF = WRAP / 2;

// What rounding may take off a frame's time: a millisecond, an eighth of the shortest frame there is.
const SLACK_TICKS = 90;
const SLACK_S = 0.001;

// Six hours of six-second segments; of two-second ones two, more than a player keeps.
const MAX_SEGMENTS = 3_600;

/**
 * @typedef {object} Segment A segment that the player has: its number, where it lies on the player's clock in seconds,
 *   its discontinuity, and what to add to a frame's time there, in ticks.
 * @property {number} msn
 * @property {number} start
 * @property {number} cc
 * @property {number} base
 */

/**
 * @typedef {object} Place Which picture is on show: the segment, its discontinuity, and the counter, 0 to 2^33 - 1.
 *   With `away` it is another showing's, in place of a blackout: then it is the end of the last segment of ours before
 *   it, and `msn` is null if there is none.
 * @property {number | null} msn
 * @property {number} cc
 * @property {number} pts
 * @property {boolean} [away]
 */

/**
 * Return how far `a` lies behind `b`, both modulo 2^33: -2^32 to 2^32 - 1 ticks, negative if it lies before.
 * @param {number} a
 * @param {number} b
 */
export function ticksFrom(b, a) {
  return ((((a - b) % WRAP) + WRAP + HALF) % WRAP) - HALF;
}

/**
 * Return the media sequence number in the name of one of our segments, `{generation}-{msn}.ext`; null if it is none.
 * @param {string} url
 */
export function msnOf(url) {
  const match = /(?:^|\/)\d+-(\d+)\.[a-z0-9]+(?:[?#]|$)/.exec(url);
  return match ? Number(match[1]) : null;
}

/**
 * Return the last of some that holds, undefined if none does.
 * @template T
 * @param {T[]} all
 * @param {(one: T) => boolean} holds
 * @returns {T | undefined}
 */
function last(all, holds) {
  for (let index = all.length - 1; index >= 0; index -= 1) if (holds(all[index])) return all[index];
  return undefined;
}

/**
 * Return the counter in the stream at a moment of the player's clock.
 * @param {number} mediaTime in seconds
 * @param {number} base in ticks
 */
function ticksAt(mediaTime, base) {
  const pts = Math.round(mediaTime * TICKS_PER_S + base);
  return ((pts % WRAP) + WRAP) % WRAP;
}

/** The segments that a player has, and what its frames show. */
export class Frames {
  constructor() {
    /** @type {Segment[]} In the order of their starts. */
    this.segments = [];
    /** @type {number[]} Where segments of other showings begin, in order. */
    this.others = [];
    /** @type {Map<number, Segment>} */
    this.byMsn = new Map();
  }

  /** Forget everything: another stream is loaded. */
  clear() {
    this.segments = [];
    this.others = [];
    this.byMsn.clear();
  }

  /**
   * Take in a segment that the player has, again perhaps, or in another quality.
   * @param {Segment} segment
   */
  add(segment) {
    this.segments = this.segments.filter((known) => known.msn !== segment.msn);
    let index = this.segments.length;
    while (index > 0 && this.segments[index - 1].start > segment.start) index -= 1;
    this.segments.splice(index, 0, segment);
    this.byMsn.set(segment.msn, segment);
    const surplus = this.segments.length > MAX_SEGMENTS ? this.segments.shift() : undefined;
    if (surplus) this.byMsn.delete(surplus.msn);
  }

  /**
   * Take in a segment that the player has of another showing, which stands in for what is dark.
   * @param {number} start where it lies on the player's clock, in seconds
   */
  addOther(start) {
    this.others = [...this.others.filter((known) => known !== start), start].sort((a, b) => a - b).slice(-MAX_SEGMENTS);
  }

  /**
   * Return which picture a presented frame is; null if its segment is not known.
   * @param {number} mediaTime in seconds
   * @returns {Place | null}
   */
  at(mediaTime) {
    const own = last(this.segments, ({ start }) => start <= mediaTime + SLACK_S);
    const other = last(this.others, (start) => start <= mediaTime + SLACK_S);
    if (other !== undefined && (!own || own.start < other)) {
      if (!own) return { msn: null, cc: 0, pts: 0, away: true };
      const since = this.others.find((start) => start > own.start) ?? other;
      return { msn: own.msn, cc: own.cc, pts: ticksAt(since, own.base), away: true };
    }
    return own ? { msn: own.msn, cc: own.cc, pts: ticksAt(mediaTime, own.base) } : null;
  }

  /**
   * Return whether the picture at `cue` is on show, or was, when `place` is on show.
   * @param {{msn?: number | null, pts?: number | null}} cue
   * @param {Place} place
   */
  reached(cue, place) {
    if (cue.msn == null || cue.pts == null) return true;
    if (place.msn === null) return false;
    // All of that segment has been shown, and nothing behind it.
    if (place.away) return cue.msn <= place.msn;
    const segment = this.byMsn.get(cue.msn);
    if (segment && segment.cc === place.cc) return ticksFrom(cue.pts, place.pts) >= -SLACK_TICKS;
    // Of another discontinuity, or never loaded: numbers only rise.
    return cue.msn < place.msn;
  }
}
