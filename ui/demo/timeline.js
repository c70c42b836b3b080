// Half a minute of the programme as a drawing: segments, discontinuities, what is out, what is sealed, who is where.

const BEHIND_S = 27;
const AHEAD_S = 2;
const RATE = 25;
const KEPT_FRAMES = 60 * RATE;
const SEGMENT_TOP = 20;
const SEGMENT_HEIGHT = 22;
const LANES = { play: 60, market: 82, price: 103 };

/**
 * @typedef {object} Mark
 * @property {number} frame
 * @property {"play" | "price" | "open" | "stop"} of
 */

/** Draw it. */
export class Timeline {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    /** @type {Map<number, {first: number, end: number, cc: number}>} By media sequence number. */
    this.segments = new Map();
    /** @type {Mark[]} */
    this.marks = [];
    this.frontier = 0;
    /** @type {Record<string, string>} */
    this.colours = {};
    this.#colour();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#colour());
  }

  /**
   * Take in a playlist of the relay's.
   * @param {any} details of hls.js
   * @param {number} kickoffMs
   */
  list(details, kickoffMs) {
    for (const { sn, cc, programDateTime, duration } of details.fragments) {
      if (typeof sn !== "number" || !programDateTime) continue;
      const first = Math.round(((programDateTime - kickoffMs) / 1000) * RATE);
      const end = first + Math.round(duration * RATE);
      this.segments.set(sn, { first, end, cc });
      this.frontier = Math.max(this.frontier, end);
    }
  }

  /**
   * Take in an entry of the log.
   * @param {any} cue
   * @param {number} now the frame that happens
   */
  entry(cue, now) {
    if (cue.cls === "safety") this.marks.push({ frame: now, of: "stop" });
    else if (typeof cue.frame === "number" && cue.type !== "suspend") {
      const of = cue.cls === "reopen" ? "open" : cue.type === "price" ? "price" : "play";
      this.marks.push({ frame: cue.frame, of });
    }
  }

  /**
   * @param {number} now the frame that happens, with its fraction
   * @param {{name: string, shown: number | null, colour: string}[]} viewers
   */
  draw(now, viewers) {
    const { canvas, context, colours } = this;
    const ratio = devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = canvas;
    if (!width) return;
    if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
    if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    context.font = "600 11px system-ui, sans-serif";
    context.textBaseline = "middle";
    this.#forget(now);
    const first = now - BEHIND_S * RATE;
    /** @param {number} frame */
    const x = (frame) => ((frame - first) / ((BEHIND_S + AHEAD_S) * RATE)) * width;
    this.#segments(x, width);
    this.#unseen(x, now);
    this.#marks(x, viewers);
    context.fillStyle = colours.ink;
    context.fillRect(x(this.frontier) - 1.5, SEGMENT_TOP - 4, 3, height - SEGMENT_TOP);
    for (const viewer of viewers) this.#head(x, viewer, height);
  }

  /**
   * Return the same in words.
   * @param {number} now
   * @param {{name: string, shown: number | null}[]} viewers
   */
  text(now, viewers) {
    const ago = (/** @type {number} */ frame) => `${((now - frame) / RATE).toFixed(0)} s ago`;
    const heads = viewers.map(({ name, shown }) => `${name} ${shown === null ? "has no picture" : `shows what was ${ago(shown)}`}`);
    return `The picture is out up to ${ago(this.frontier)}. ${heads.join(". ")}.`;
  }

  #colour() {
    const style = getComputedStyle(document.documentElement);
    for (const name of ["ink", "soft", "edge", "raised", "accent", "good", "bad", "panel", "line-1", "line-2", "warn"]) {
      this.colours[name] = style.getPropertyValue(`--${name}`).trim();
    }
  }

  /** @param {number} now */
  #forget(now) {
    for (const [sn, { end }] of this.segments) if (end < now - KEPT_FRAMES) this.segments.delete(sn);
    if (this.marks.length > 2_000) this.marks = this.marks.filter(({ frame }) => frame > now - KEPT_FRAMES);
  }

  /**
   * @param {(frame: number) => number} x
   * @param {number} width
   */
  #segments(x, width) {
    const { context, colours } = this;
    /** @type {{end: number, cc: number} | null} */
    let before = null;
    for (const [sn, segment] of [...this.segments].sort(([one], [other]) => one - other)) {
      const [left, right] = [x(segment.first), x(segment.end)];
      if (right > 0 && left < width) {
        context.fillStyle = colours.raised;
        context.strokeStyle = colours.edge;
        context.lineWidth = 1;
        context.beginPath();
        context.roundRect(left + 1, SEGMENT_TOP, right - left - 2, SEGMENT_HEIGHT, 4);
        context.fill();
        context.stroke();
        if (right - left > 34) {
          context.fillStyle = colours.soft;
          context.textAlign = "center";
          context.fillText(String(sn), (left + right) / 2, SEGMENT_TOP + SEGMENT_HEIGHT / 2 + 0.5);
        }
        if (before && before.cc !== segment.cc) {
          context.fillStyle = colours.warn;
          context.fillRect(x(before.end), SEGMENT_TOP, Math.max(3, left - x(before.end)), SEGMENT_HEIGHT);
          context.textAlign = "center";
          context.fillText("discontinuity", (x(before.end) + left) / 2, 9);
        }
      }
      before = segment;
    }
  }

  /**
   * What has happened and is not out yet.
   * @param {(frame: number) => number} x
   * @param {number} now
   */
  #unseen(x, now) {
    const { context, colours } = this;
    const [left, right] = [x(this.frontier) + 2, x(now)];
    if (right <= left) return;
    context.save();
    context.beginPath();
    context.rect(left, SEGMENT_TOP, right - left, SEGMENT_HEIGHT);
    context.clip();
    context.strokeStyle = colours.edge;
    context.lineWidth = 2;
    for (let at = left - SEGMENT_HEIGHT; at < right; at += 7) {
      context.beginPath();
      context.moveTo(at, SEGMENT_TOP + SEGMENT_HEIGHT);
      context.lineTo(at + SEGMENT_HEIGHT, SEGMENT_TOP);
      context.stroke();
    }
    context.restore();
    context.fillStyle = colours.soft;
    context.textAlign = "right";
    context.fillText("now", Math.min(right, x(now)), 9);
  }

  /**
   * @param {(frame: number) => number} x
   * @param {{shown: number | null}[]} viewers
   */
  #marks(x, viewers) {
    const { context, colours } = this;
    const live = Math.max(0, ...viewers.map(({ shown }) => shown ?? 0));
    const paint = { play: colours.accent, price: colours.soft, open: colours.good, stop: colours.bad };
    for (const { frame, of } of this.marks) {
      const at = x(frame);
      if (at < -6) continue;
      context.fillStyle = context.strokeStyle = paint[of];
      context.lineWidth = 1.75;
      // Hollow: sealed, and still to be told to anybody.
      const isTold = frame <= live;
      if (of === "play") {
        context.beginPath();
        context.arc(at, LANES.play, 4, 0, 7);
        if (isTold) context.fill();
        else context.stroke();
      } else if (of === "price") {
        context.fillRect(at - 1, LANES.price - (isTold ? 5 : 2), 2, isTold ? 10 : 4);
      } else if (of === "open") {
        context.beginPath();
        context.rect(at - 4, LANES.market - 4, 8, 8);
        if (isTold) context.fill();
        else context.stroke();
      } else {
        context.fillRect(at - 1.5, LANES.market - 8, 3, 16);
      }
    }
  }

  /**
   * @param {(frame: number) => number} x
   * @param {{name: string, shown: number | null, colour: string}} viewer
   * @param {number} height
   */
  #head(x, { name, shown, colour }, height) {
    if (shown === null) return;
    const { context, colours } = this;
    const at = x(shown);
    context.fillStyle = colours[colour];
    context.fillRect(at - 1, 16, 2, height - 16);
    const width = context.measureText(name).width + 14;
    const left = Math.max(0, at - width / 2);
    context.beginPath();
    context.roundRect(left, 0, width, 17, 5);
    context.fill();
    context.fillStyle = colours.panel;
    context.textAlign = "center";
    context.fillText(name, left + width / 2, 9);
  }
}
