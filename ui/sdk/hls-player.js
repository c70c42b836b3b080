// What is on show in an hls.js player, frame by frame.
//
// Of hls.js no more is relied on than INIT_PTS_FOUND (which says what the player takes off the counter in the stream),
// and that a buffered fragment has a url, a start and a discontinuity counter.

import { Frames, msnOf, TICKS_PER_S } from "./frames.js";

// How far `currentTime` runs ahead of the glass: 60 to 80 ms were measured in Chromium.
const AHEAD_S = 0.1;

// How far a frame may lie from `currentTime` to be one behind a seek, not one before it.
const NEAR_S = 0.5;

/** @typedef {import("./frames.js").Place} Place */

/** Watch a player from before it loads its source. */
export class HlsPlayer {
  /**
   * @param {any} hls an hls.js instance that has not loaded its source yet
   * @param {HTMLVideoElement} video the element that it plays on
   */
  constructor(hls, video) {
    this.video = video;
    this.frames = new Frames();
    /** @type {Place | null} The picture on show. */
    this.place = null;
    /** @type {(place: Place, mediaTime: number) => void} Called at each frame. */
    this.onframe = () => {};
    /** @type {() => void} Called when the player pauses, stalls, seeks, goes on, or changes its rate. */
    this.onchange = () => {};
    /** @type {() => void} Called when everything has been shown. */
    this.onend = () => {};
    /** Whether the place is that of a frame since the last seek. */
    this.fresh = true;
    /** @type {number | null} */
    this.mediaTime = null;
    this.#listen(hls);
  }

  /** How fast it plays; 0 while it is paused. At the end its clock runs on until the last frame has been shown. */
  get rate() {
    const { ended, paused, playbackRate } = this.video;
    return paused && !ended ? 0 : Math.min(16, Math.max(0, playbackRate));
  }

  /** Whether it waits for data, or for the first frame behind a seek. */
  get stalled() {
    const { ended, readyState } = this.video;
    return !ended && (!this.fresh || readyState < 3);
  }

  /** Stop watching. */
  close() {
    this.#stop();
  }

  /** @param {any} hls */
  #listen(hls) {
    const { video, frames } = this;
    const events = hls.constructor.Events;
    /** @type {Record<number, number>} */
    let bases = {};
    /** @type {(() => void)[]} */
    const undo = [];
    /** @type {(name: string, listener: (event: string, data: any) => void) => void} */
    const onHls = (name, listener) => {
      hls.on(name, listener);
      undo.push(() => hls.off(name, listener));
    };
    /** @type {(name: string, listener: () => void) => void} */
    const onVideo = (name, listener) => {
      video.addEventListener(name, listener);
      undo.push(() => video.removeEventListener(name, listener));
    };
    onHls(events.MANIFEST_LOADING, () => {
      frames.clear();
      bases = {};
    });
    onHls(events.INIT_PTS_FOUND, (_, { id, frag, initPTS, timescale }) => {
      if (id === "main") bases[frag.cc] = (initPTS * TICKS_PER_S) / (timescale || TICKS_PER_S);
    });
    onHls(events.FRAG_BUFFERED, (_, { frag }) => {
      const msn = msnOf(frag.url);
      if (frag.type === "main" && typeof frag.sn === "number" && msn !== null && frag.cc in bases) {
        frames.add({ msn, start: frag.start, cc: frag.cc, base: bases[frag.cc] });
        // A first frame may be on show before its segment is known, and the last one while it is paused.
        if (this.place === null && this.mediaTime !== null) this.#show(this.mediaTime);
      } else if (frag.type === "main" && typeof frag.sn === "number" && msn === null) {
        frames.addOther(frag.start);
        if (this.place === null && this.mediaTime !== null) this.#show(this.mediaTime);
      }
    });
    onVideo("seeking", () => {
      this.fresh = false;
    });
    for (const name of ["seeking", "waiting", "playing", "pause", "ratechange"]) onVideo(name, () => this.onchange());
    onVideo("ended", () => {
      this.onchange();
      this.onend();
    });
    this.#watch(undo);
    this.#stop = () => undo.splice(0).forEach((step) => step());
  }

  /** @param {(() => void)[]} undo */
  #watch(undo) {
    const { video } = this;
    const tells = "requestVideoFrameCallback" in video;
    let handle = 0;
    /** @type {(now: number, metadata: {mediaTime: number}) => void} */
    const onFrame = (_, { mediaTime }) => {
      handle = video.requestVideoFrameCallback(onFrame);
      this.#show(mediaTime);
    };
    if (tells) {
      handle = video.requestVideoFrameCallback(onFrame);
      undo.push(() => video.cancelVideoFrameCallback(handle));
    }
    // A page in the background is told of no frames, nor does it show any: its clock stands in for them.
    const timer = setInterval(() => {
      if ((document.hidden || !tells) && !video.paused && !video.seeking) {
        this.#show(Math.max(0, video.currentTime - AHEAD_S));
      }
    }, 100);
    undo.push(() => clearInterval(timer));
  }

  /** @param {number} mediaTime */
  #show(mediaTime) {
    this.mediaTime = mediaTime;
    const place = this.frames.at(mediaTime);
    if (place === null) return;
    const isNews = this.place === null || !this.fresh || !this.place.away !== !place.away;
    this.fresh ||= Math.abs(mediaTime - this.video.currentTime) < NEAR_S;
    this.place = place;
    if (isNews) this.onchange();
    this.onframe(place, mediaTime);
  }

  #stop = () => {};
}
