// The page: two viewers of one game, what they saw of it, and a panel to break it.

import { Lockstep } from "./sdk/index.js";
import { Api } from "./api.js";
import { Card } from "./card.js";
import { Gauge } from "./gauge.js";
import { Timeline } from "./timeline.js";
import { Viewer } from "./viewer.js";

const LIVE_LAG_S = 6.5;
const APART_S = 12;
const FRAME_MS = 40;
const METER_MS = 500;

/** @param {string} id */
const at = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
const said = at("said");
const notice = at("notice");

/** @param {string} text */
function say(text) {
  said.textContent = text;
}

/** @param {unknown} error */
function complain(error) {
  notice.hidden = false;
  notice.textContent = `This page has lost its server: ${error instanceof Error ? error.message : error}. Start \`lockstep demo\` again and open the address that it prints.`;
}

/** MessagePack for one of the two sockets, JSON for the other: both carry the same. */
const { encode, decode } = /** @type {any} */ (window).MessagePack;
const msgpack = { subprotocol: "lockstep.v1.msgpack", encode, decode: (/** @type {ArrayBuffer} */ data) => decode(data) };

/**
 * @param {string} id
 * @param {string} state good, warn, bad or wait
 * @param {string} text
 */
function pill(id, state, text) {
  const found = at(id);
  found.dataset.state = state;
  if (found.textContent !== text) found.textContent = text;
}

class Page {
  /**
   * @param {Api} api
   * @param {Record<string, any>} state
   */
  constructor(api, state) {
    this.api = api;
    this.state = state;
    this.timeline = new Timeline(/** @type {HTMLCanvasElement} */ (at("timeline")));
    this.viewers = [
      this.#viewer("live", "Live", LIVE_LAG_S, undefined),
      this.#viewer("behind", "12 s behind", LIVE_LAG_S + APART_S, msgpack),
    ];
    this.#desk();
    this.#panel();
    setInterval(() => this.#meters(), METER_MS);
    // A drawing that creeps is motion, too.
    const still = matchMedia("(prefers-reduced-motion: reduce)");
    let drawn = 0;
    /** @param {number} now */
    const draw = (now) => {
      requestAnimationFrame(draw);
      if (now - drawn < (still.matches ? 1_000 : 90)) return;
      drawn = now;
      this.timeline.draw((Date.now() - this.state.kickoff_ms) / FRAME_MS, this.heads);
      for (const { viewer, card } of this.viewers) card.clock(viewer.book, viewer.shown);
    };
    requestAnimationFrame(draw);
  }

  get gameFrame() {
    return Math.floor((Date.now() - this.state.kickoff_ms) / FRAME_MS);
  }

  get heads() {
    return this.viewers.map(({ viewer, title }, index) => ({ name: title, shown: viewer.shown, colour: `line-${index + 1}` }));
  }

  /**
   * @param {string} name
   * @param {string} title
   * @param {number} lagS
   * @param {any} codec
   */
  #viewer(name, title, lagS, codec) {
    const card = new Card(at(name), title);
    const gauge = new Gauge(at("meters"), name, title);
    const viewer = new Viewer({
      name, lagS, codec, api: this.api, video: card.video, gameFrame: () => this.gameFrame,
      tell: (what, detail) => this.#told(name, what, detail),
    });
    card.cover({ title: "One moment", text: "The first picture is on its way.", again: false });
    card.video.addEventListener("playing", () => this.#status());
    card.parts.again.onclick = () => this.#begin(viewer).then(() => say(`${title}: a new token was given`));
    this.#begin(viewer);
    return { name, title, card, gauge, viewer };
  }

  /** @param {Viewer} viewer */
  async #begin(viewer) {
    try {
      await viewer.start();
      this.#status();
    } catch (error) {
      complain(error);
    }
  }

  /**
   * @param {string} name
   * @param {string} what
   * @param {any} detail
   */
  #told(name, what, detail) {
    const found = this.viewers?.find((one) => one.name === name);
    if (!found) return;
    const { viewer, card } = found;
    if (what === "list") {
      if (name === "live") this.timeline.list(detail, this.state.kickoff_ms);
      return;
    }
    if (what === "status") return this.#status(detail);
    card.score(viewer.book);
    card.board(viewer.book, viewer.mayWager);
    this.#bets();
    const isPlay = what === "cue" && detail.cue.txt !== undefined && detail.cue.type !== "suspend";
    if (isPlay || detail?.cue?.kind === "retract") card.plays(viewer.book, detail.cue.id);
    // Only what nobody wants to miss is said aloud, and of one viewer.
    if (isPlay && name === "live" && ["goal", "stands", "taken back"].includes(detail.cue.what)) say(detail.cue.txt);
  }

  /** @param {any} [frame] a frame of the server's */
  #status(frame) {
    for (const { viewer, card } of this.viewers ?? []) {
      card.board(viewer.book, viewer.mayWager);
      if (viewer.revoked) {
        card.cover({ title: "Access revoked", text: "Picture and data ended together.", again: true });
      } else if (viewer.shown !== null) card.cover(null);
    }
    const live = this.viewers?.[0].viewer;
    if (!live) return;
    if (frame?.op === "hb") {
      this.feed = frame.feeds?.desk ?? this.feed;
      this.sync = frame.sync;
    }
    if (frame?.op === "feed") this.feed = frame.state;
    const isUp = this.feed === "up" || this.feed === "recovering";
    pill("pill-sync", this.sync === "ok" ? "good" : "wait", this.sync === "ok" ? "In lockstep" : "No picture yet");
    pill("pill-feed", isUp ? "good" : this.feed === "degraded" ? "warn" : "bad", `Vendor ${this.feed ?? "unknown"}`);
    this.#bets();
  }

  /** Tell whether the live viewer may bet on anything. */
  #bets() {
    const { book, mayWager } = this.viewers[0].viewer;
    const isOpen = mayWager && book.board().some((market) => book.statusOf(market) === "open");
    pill("pill-bets", isOpen ? "good" : "bad", isOpen ? "Bets taken" : "Bets closed");
  }

  /** Whoever sits at the desk sees every entry when it is sealed: for the drawing. */
  async #desk() {
    const desk = new Lockstep({
      url: location.origin, event: "demo", token: async () => (await this.api.token("desk")).token,
      wish: { mode: "realtime" },
    });
    desk.on("cue", (cue) => this.timeline.entry(cue, this.gameFrame));
  }

  #meters() {
    for (const { viewer, card, gauge } of this.viewers) {
      gauge.show(viewer);
      card.lag(viewer.lagS);
      if (viewer.shown !== null && !viewer.revoked) card.cover(null);
    }
    const text = at("timeline-text");
    text.textContent = this.timeline.text(this.gameFrame, this.heads);
  }

  #panel() {
    const live = this.viewers[0].viewer;
    const silence = at("silence");
    const show = () => {
      for (const button of at("delay").children) {
        button.setAttribute("aria-pressed", String(Number(/** @type {HTMLElement} */ (button).dataset.delay) === this.state.delay_s));
      }
      silence.setAttribute("aria-pressed", String(this.state.silent));
      silence.textContent = this.state.silent ? "Let it speak" : "Silence";
    };
    /** @type {(ask: () => Promise<any>, text: string | (() => string)) => Promise<void>} */
    const act = async (ask, text) => {
      try {
        this.state = { ...this.state, ...(await ask()) };
        say(typeof text === "string" ? text : text());
        show();
      } catch (error) {
        complain(error);
      }
    };
    for (const button of at("delay").children) {
      const delay = Number(/** @type {HTMLElement} */ (button).dataset.delay);
      /** @type {HTMLElement} */ (button).onclick = () =>
        act(() => this.api.vendor({ delay_s: delay }), `The vendor is ${delay} s late`);
    }
    silence.onclick = () =>
      act(() => this.api.vendor({ silent: !this.state.silent }), () => `The vendor ${this.state.silent ? "is silent" : "speaks again"}`);
    at("drop").onclick = () => {
      live.drop();
      say("The live viewer's socket was dropped");
    };
    at("restart").onclick = () => act(() => this.api.restartEncoder(), "The encoder was cut off and starts again");
    at("revoke").onclick = () => act(() => this.api.revoke("live"), "The live viewer's token was revoked");
    show();
  }
}

async function main() {
  const api = new Api(Api.key());
  try {
    const state = await api.state();
    // For whoever looks from the console, and for the test.
    Object.assign(window, { demo: new Page(api, state) });
  } catch (error) {
    complain(error);
  }
}

main();
