// One viewer: a picture by hls.js, data by the SDK, both under the same token, and how far behind the game it is kept.

import Hls from "./lib/hls.min.mjs";
import { Lockstep } from "./sdk/index.js";
import { Book } from "./book.js";
import { Counter } from "./counter.js";
import { Meter } from "./meter.js";

const EVENT = "demo";

// The most that the server may send ahead: what comes a second early rides out a broken socket on a busy machine.
const LEAD_MS = 1_000;

// What comes so soon behind a new subscription was owed from before it.
const CATCHING_UP_MS = 3_000;

// Beyond this it seeks, below it plays a little faster or slower; within `NEAR_S` it leaves the picture alone.
const SEEK_S = 1.5;
const SEEK_BACK_S = 4;
const NEAR_S = 0.08;

// A seek leads no closer to the end than this: there must be something to play.
const LEAST_S = 3;
const NUDGE = 0.05;
const STEADY_MS = 500;
const SEEK_REST_MS = 4_000;

/**
 * @typedef {object} Wants What a viewer is.
 * @property {string} name
 * @property {number} lagS how far behind the game it is kept, in seconds
 * @property {HTMLVideoElement} video
 * @property {import("./api.js").Api} api
 * @property {() => number} gameFrame the frame that happens now
 * @property {any} [codec] of the socket
 * @property {(what: "cue" | "state" | "status" | "list", detail?: any) => void} tell
 */

/** Watch, under one token after another. */
export class Viewer {
  /** @param {Wants} wants */
  constructor(wants) {
    this.wants = wants;
    this.video = wants.video;
    this.counter = new Counter(this.video);
    this.meter = new Meter();
    this.book = new Book();
    /** @type {number | null} The frame on show. */
    this.shown = null;
    this.revoked = false;
    this.mayWager = false;
    this.stale = true;
    this.behindMs = 0;
    this.breaks = 0;
    this.subscribedAt = -CATCHING_UP_MS;
    this.soughtAt = 0;
    /** @type {any} */
    this.hls = null;
    /** @type {Lockstep | null} */
    this.lockstep = null;
    /** @type {string[]} What went wrong for good, for whoever looks. */
    this.errors = [];
    this.#watch();
    setInterval(() => this.#steady(), STEADY_MS);
  }

  /** Begin under a new token. */
  async start() {
    const { name, api, codec } = this.wants;
    const { token } = await api.token(name);
    this.close();
    this.revoked = false;
    this.book = new Book();
    this.shown = null;
    const hls = (this.hls = new Hls({ liveSyncDuration: 5, liveMaxLatencyDuration: 28, backBufferLength: 20 }));
    this.#listen(hls);
    const url = location.origin;
    const lockstep = (this.lockstep = new Lockstep({ url, event: EVENT, token, hls, video: this.video, codec, leadMs: LEAD_MS }));
    lockstep
      .on("cue", (cue) => this.#cue(cue))
      .on("state", ({ state }) => {
        this.book.begin(state);
        this.wants.tell("state");
      })
      .on("stale", ({ stale, mayWager }) => {
        Object.assign(this, { stale, mayWager });
        this.wants.tell("status");
      })
      .on("frame", (frame) => this.#frame(frame))
      .on("bye", ({ code, retryMs }) => {
        this.breaks += 1;
        this.mayWager = false;
        if (retryMs === null) this.#end(code);
        this.wants.tell("status");
      });
    hls.loadSource(`${url}/hls/${token}/${EVENT}/index.m3u8`);
    hls.attachMedia(this.video);
    // A browser that does not let it play by itself shows a button for it.
    this.video.play().catch(() => this.wants.tell("status"));
  }

  /** Cut the socket, as a network does. */
  drop() {
    this.lockstep?.socket?.close(4_000);
  }

  /** End it. */
  close() {
    this.lockstep?.close();
    this.hls?.destroy();
    this.lockstep = this.hls = null;
  }

  /** How far the picture lies behind the game, in seconds; null while there is none. */
  get lagS() {
    return this.shown === null ? null : (this.wants.gameFrame() - this.shown) / 25;
  }

  /** @param {number} code */
  #end(code) {
    if (code !== 4_510) this.errors.push(`closed: ${code}`);
    this.revoked = true;
    this.hls?.stopLoad();
    this.video.pause();
  }

  #watch() {
    // Asked for before the SDK asks: it is called first, and reads the frame that cues are then judged by.
    const onFrame = () => {
      this.video.requestVideoFrameCallback(onFrame);
      this.shown = this.counter.read(performance.now()) ?? this.shown;
      this.meter.present(this.shown);
    };
    this.video.requestVideoFrameCallback(onFrame);
  }

  /** @param {any} hls */
  #listen(hls) {
    const { ERROR, LEVEL_UPDATED } = Hls.Events;
    hls.on(LEVEL_UPDATED, (/** @type {string} */ _, /** @type {any} */ { details }) => this.wants.tell("list", details));
    hls.on(ERROR, (/** @type {string} */ _, /** @type {any} */ { fatal, details, type, response }) => {
      if (!fatal || this.hls !== hls) return;
      if (this.revoked || response?.code === 403) return;
      this.errors.push(details);
      if (type === Hls.ErrorTypes.MEDIA_ERROR) hls.recoverMediaError();
      else setTimeout(() => this.hls === hls && hls.startLoad(), 1_000);
    });
  }

  /** @param {any} frame */
  #frame(frame) {
    if (frame.op === "sub") this.subscribedAt = performance.now();
    if (frame.op === "hb") this.behindMs = frame.behind_ms ?? 0;
    this.wants.tell("status", frame);
  }

  /** @param {any} cue */
  #cue(cue) {
    const now = performance.now();
    /** @type {ReturnType<Meter["cue"]> | null} */
    let judged = null;
    if (cue.cls !== "safety" && typeof cue.frame === "number") {
      const shown = this.counter.read(now);
      // What was sealed when this viewer's own picture was still to come was in time for it.
      const late = (cue.late_ms ?? 0) > Math.max(0, this.behindMs - LEAD_MS - 500);
      judged = this.meter.cue({ frame: cue.frame, shown, late, gap: now - this.subscribedAt < CATCHING_UP_MS });
    }
    this.book.add(cue);
    this.wants.tell("cue", { cue, judged });
  }

  /** Keep the distance: by a seek when it is far off, else by playing a little faster or slower. */
  #steady() {
    const { video, shown } = this;
    if (shown === null || this.revoked || video.paused || video.seeking) return;
    const aheadS = this.wants.lagS - /** @type {number} */ (this.lagS);
    const now = performance.now();
    if ((aheadS < -SEEK_S || aheadS > SEEK_BACK_S) && now - this.soughtAt > SEEK_REST_MS) {
      const { seekable } = video;
      const [first, last] = seekable.length ? [seekable.start(0), seekable.end(seekable.length - 1)] : [0, 0];
      const wanted = Math.min(video.currentTime - aheadS, last - LEAST_S);
      if (wanted > first + 0.5 && Math.abs(wanted - video.currentTime) > 1) {
        this.soughtAt = now;
        video.currentTime = wanted;
        return;
      }
    }
    // It stalls: a change of rate would be of no use.
    if (video.readyState < 3) return;
    const rate = Math.abs(aheadS) < NEAR_S ? 1 : aheadS > 0 ? 1 - NUDGE : 1 + NUDGE;
    // Within the band it goes on as it is until it is through the middle: no change of rate twice a second.
    const isSettling = video.playbackRate !== 1 && Math.sign(1 - video.playbackRate) === Math.sign(aheadS);
    if (video.playbackRate !== rate && !(rate === 1 && isSettling && Math.abs(aheadS) > NEAR_S / 4)) video.playbackRate = rate;
  }
}
