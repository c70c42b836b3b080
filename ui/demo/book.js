// What a viewer's cues add up to: score, clock, plays, markets. The rules are those of docs/protocol.md, "The state and its
// hash"; nothing here knows of a page.

const KEPT_PLAYS = 40;
const KEPT_CLAIMS = 8;

/**
 * @typedef {object} Play One line of the play-by-play.
 * @property {string} id
 * @property {number} rev
 * @property {string} txt
 * @property {string} what
 * @property {string} team
 * @property {number} frame
 * @property {{period: number, ms: number} | null} clock
 * @property {"" | "corrected" | "taken back"} mark
 * @property {string} was what it said before a correction
 */

/**
 * @typedef {object} Market
 * @property {string} mid
 * @property {string} spec
 * @property {string} st as its newest word says
 * @property {number} ver of that word
 * @property {number} priceVer
 * @property {Map<string, {milli: number, move: number}>} out
 * @property {Map<string, number> | null} results
 */

/** Fold the cues of one viewer. */
export class Book {
  constructor() {
    /** @type {Record<"score" | "clock", [number, number, number, string, any, number | null][]>} */
    this.claims = { score: [], clock: [] };
    /** @type {Play[]} The newest first. */
    this.plays = [];
    /** @type {Map<string, Market>} */
    this.markets = new Map();
    this.floor = -1;
    /** @type {Map<string, number>} */
    this.closed = new Map();
  }

  /** What stands: home and away, null before anything is known. */
  get score() {
    return this.claims.score.at(-1)?.[4] ?? null;
  }

  /** The newest word on the clock, and the frame it is of (null: not known). */
  get clock() {
    const claim = this.claims.clock.at(-1);
    return claim ? { ...claim[4], frame: claim[5] } : null;
  }

  /**
   * Return what a market is, as far as its words go: open, suspended, closed or settled.
   * @param {Market} market
   */
  statusOf(market) {
    const floor = Math.max(this.floor, this.closed.get(market.mid) ?? -1);
    return market.st === "open" && market.ver <= floor ? "suspended" : market.st;
  }

  /**
   * Return the markets to show, in the order of their kinds; of settled ones only where no newer one of its kind is there.
   * @returns {Market[]}
   */
  board() {
    /** @type {Map<string, Market>} */
    const newest = new Map();
    for (const market of this.markets.values()) {
      const kind = market.mid.split("-")[0];
      const other = newest.get(kind);
      if (!other || market.ver > other.ver) newest.set(kind, market);
    }
    return ["winner", "next", "total"].flatMap((kind) => newest.get(kind) ?? []);
  }

  /**
   * Begin from a whole state.
   * @param {Record<string, any>} state of a `snap`
   */
  begin(state) {
    const plays = this.plays;
    Object.assign(this, new Book());
    // The state holds no plays: what was told is still true.
    this.plays = plays;
    this.floor = Math.max(-1, state.floor?.all ?? -1);
    for (const [mid, ver] of Object.entries(state.floor?.closed ?? {})) this.closed.set(mid, Number(ver));
    for (const slot of /** @type {const} */ (["score", "clock"])) {
      this.claims[slot] = (state.claims?.[slot] ?? []).map((/** @type {any} */ claim) => [...claim, null]);
    }
    for (const [ver, , market] of Object.values(state.markets ?? {})) this.#market(market, ver, null);
    for (const [ver, , price] of Object.values(state.prices ?? {})) this.#price(price.mid, ver, price.out);
  }

  /**
   * Take in a cue.
   * @param {Record<string, any>} cue
   */
  add(cue) {
    if (cue.cls === "safety") {
      if (cue.scope === "event") this.floor = Math.max(this.floor, cue.ver);
      else if (cue.market) this.closed.set(cue.market.mid, Math.max(this.closed.get(cue.market.mid) ?? -1, cue.ver));
      return;
    }
    if (cue.type === "market" && cue.kind !== "retract") this.#market(cue.market, cue.market.ver, cue.price?.out ?? null);
    else if (cue.type === "price") this.#price(cue.price.mid, cue.price.ver, cue.price.out);
    else if (cue.type === "settle") this.#settle(cue.settle);
    else if (cue.type !== "suspend") {
      this.#claim("score", cue);
      this.#claim("clock", cue);
      this.#play(cue);
    }
  }

  /**
   * @param {any} market
   * @param {number} ver
   * @param {{oid: string, milli: number}[] | null} out
   */
  #market(market, ver, out) {
    const known = this.#of(market.mid);
    if (ver < known.ver) return;
    known.ver = ver;
    known.st = market.st;
    known.spec = market.spec ?? known.spec;
    if (out) this.#price(market.mid, ver, out);
  }

  /**
   * @param {string} mid
   * @param {number} ver
   * @param {{oid: string, milli: number}[]} out
   */
  #price(mid, ver, out) {
    const known = this.#of(mid);
    // A client ignores what lies at or below the floor.
    if (ver < known.priceVer || ver <= Math.max(this.floor, this.closed.get(mid) ?? -1)) return;
    known.priceVer = ver;
    for (const { oid, milli } of out) {
      known.out.set(oid, { milli, move: Math.sign(milli - (known.out.get(oid)?.milli ?? milli)) });
    }
  }

  /** @param {any} settle */
  #settle(settle) {
    const known = this.#of(settle.mid);
    known.st = "settled";
    known.ver = Math.max(known.ver, settle.ver ?? known.ver);
    known.results = new Map((settle.results ?? []).map((/** @type {any} */ { oid, result }) => [oid, result]));
  }

  /** @param {string} mid */
  #of(mid) {
    const known = this.markets.get(mid) ?? {
      mid, spec: mid, st: "suspended", ver: -1, priceVer: -1, out: new Map(), results: null,
    };
    this.markets.set(mid, known);
    return known;
  }

  /**
   * @param {"score" | "clock"} slot
   * @param {Record<string, any>} cue
   */
  #claim(slot, cue) {
    const kept = this.claims[slot].filter((claim) => claim[3] !== cue.id);
    const value = cue.kind === "retract" ? undefined : cue[slot];
    if (value !== undefined) kept.push([cue.tl ?? 0, cue.pts ?? 0, cue.o, cue.id, value, cue.frame ?? null]);
    kept.sort((one, other) => one[0] - other[0] || one[1] - other[1] || one[2] - other[2]);
    this.claims[slot] = kept.slice(-KEPT_CLAIMS);
  }

  /** @param {Record<string, any>} cue */
  #play(cue) {
    const known = this.plays.find((play) => play.id === cue.id);
    if (known && cue.rev <= known.rev) return;
    if (cue.kind === "retract") {
      if (known) Object.assign(known, { rev: cue.rev, mark: "taken back" });
      return;
    }
    if (known) {
      const was = known.txt === cue.txt ? known.was : known.txt;
      Object.assign(known, { rev: cue.rev, txt: cue.txt, was, mark: was ? "corrected" : known.mark });
      return;
    }
    const { id, rev, txt = "", what = "", team = "", frame = 0, clock = null } = cue;
    this.plays.push({ id, rev, txt, what, team, frame, clock, mark: "", was: "" });
    // A late one stands where it happened.
    this.plays.sort((one, other) => other.frame - one.frame);
    this.plays.splice(KEPT_PLAYS);
  }
}
