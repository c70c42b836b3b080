// What stands below a viewer's picture, drawn from its book: score, clock, odds, plays.

const NAMES = { home: "Northgate", away: "Lakeside", draw: "Draw", over: "Over", under: "Under" };
const SHORT = { home: "NOR", away: "LAK", draw: "Draw" };
const STATUS = { open: "Open", suspended: "Suspended", closed: "Closed", settled: "Settled" };
const PERIODS = ["1st", "2nd"];
const SHOWN_PLAYS = 12;
const HALF_S = 600;

/**
 * @param {string} name
 * @param {string} [text]
 * @param {Record<string, string>} [data]
 */
export function element(name, text = "", data = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  Object.assign(made.dataset, data);
  return made;
}

/** @param {number} seconds */
const minutes = (seconds) =>
  `${String(Math.floor(seconds / 60)).padStart(2, "0")}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

/** The card of one viewer. */
export class Card {
  /**
   * @param {HTMLElement} root
   * @param {string} title
   */
  constructor(root, title) {
    const template = /** @type {HTMLTemplateElement} */ (document.getElementById("viewer-card"));
    root.append(template.content.cloneNode(true));
    this.root = root;
    /** @type {Record<string, HTMLElement>} */
    this.parts = {};
    for (const part of root.querySelectorAll("[data-part]")) {
      const found = /** @type {HTMLElement} */ (part);
      this.parts[found.dataset.part ?? ""] = found;
    }
    this.video = /** @type {HTMLVideoElement} */ (root.querySelector("video"));
    this.video.setAttribute("aria-label", `${title}: the game, a court seen from above`);
    this.parts.title.textContent = title;
    this.parts.title.id = `${root.id}-title`;
    this.#buttons();
    /** @type {string | null} */
    this.boardText = null;
    this.clockText = "";
    this.parts.plays.append(Object.assign(element("li", "The next play comes with its picture."), { className: "none" }));
  }

  #buttons() {
    const { pause, sound } = this.parts;
    pause.onclick = () => (this.video.paused ? this.video.play() : this.video.pause());
    for (const name of ["play", "pause"]) {
      this.video.addEventListener(name, () => {
        pause.textContent = this.video.paused ? "Play" : "Pause";
        pause.setAttribute("aria-pressed", String(this.video.paused));
      });
    }
    sound.onclick = () => {
      this.video.muted = !this.video.muted;
      sound.setAttribute("aria-pressed", String(!this.video.muted));
    };
  }

  /**
   * Show how far behind the picture is.
   * @param {number | null} lagS
   */
  lag(lagS) {
    if (lagS === null) this.parts.lag.textContent = "waiting";
    else this.parts.lag.replaceChildren(`${lagS.toFixed(1)} s`, element("span", " after it happens"));
  }

  /**
   * Cover the picture, or uncover it.
   * @param {{title: string, text: string, again: boolean} | null} what
   */
  cover(what) {
    const { overlay, again } = this.parts;
    overlay.hidden = what === null;
    if (!what) return;
    this.parts["overlay-title"].textContent = what.title;
    this.parts["overlay-text"].textContent = what.text;
    again.hidden = !what.again;
  }

  /** @param {import("./book.js").Book} book */
  score(book) {
    if (!book.score) return;
    this.parts.home.textContent = String(book.score.home);
    this.parts.away.textContent = String(book.score.away);
  }

  /**
   * Let the clock run with the picture: from the newest word on it, by the frames shown since.
   * @param {import("./book.js").Book} book
   * @param {number | null} shown
   */
  clock(book, shown) {
    const clock = book.clock;
    if (!clock) return;
    const since = clock.run && clock.frame !== null && shown !== null ? Math.max(0, shown - clock.frame) / 25 : 0;
    const text = minutes(Math.min(HALF_S, clock.ms / 1000 + since));
    if (text === this.clockText) return;
    this.clockText = text;
    this.parts.clock.textContent = text;
    this.parts.period.textContent = PERIODS[clock.period - 1] ?? "";
  }

  /**
   * @param {import("./book.js").Book} book
   * @param {boolean} mayWager
   */
  board(book, mayWager) {
    const markets = book.board().map((market) => {
      const known = book.statusOf(market);
      const st = known === "open" && !mayWager ? "suspended" : known;
      const outs = [...market.out].map(([oid, { milli, move }]) => ({ oid, milli, move, won: market.results?.get(oid) === 1 }));
      return { mid: market.mid, spec: market.spec, st, outs };
    });
    const text = JSON.stringify(markets);
    if (text === this.boardText) return;
    this.boardText = text;
    this.parts.board.replaceChildren(...markets.map((market) => {
      const row = element("div", "", { st: market.st, mid: market.mid });
      row.className = "market";
      const title = element("h4", market.spec);
      title.append(element("small", STATUS[/** @type {keyof typeof STATUS} */ (market.st)] ?? market.st));
      const outs = element("div");
      outs.className = "outs";
      for (const { oid, milli, move, won } of market.outs) {
        const open = market.st === "open";
        const out = element("div", "", { move: open ? String(move) : "0", won: won ? "1" : "0" });
        out.className = "out";
        const price = market.st === "settled" ? (won ? "Won" : "Lost") : open ? (milli / 1000).toFixed(2) : "–";
        const name = NAMES[/** @type {keyof typeof NAMES} */ (oid)] ?? oid;
        const short = SHORT[/** @type {keyof typeof SHORT} */ (oid)] ?? name;
        out.append(element("span", name, { short }), element("b", price));
        outs.append(out);
      }
      if (!market.outs.length) outs.append(Object.assign(element("p", "Prices follow when it opens"), { className: "none" }));
      row.append(title, outs);
      return row;
    }));
  }

  /**
   * @param {import("./book.js").Book} book
   * @param {string | null} fresh the id of the play that has just come, null if none has
   */
  plays(book, fresh) {
    this.parts.plays.replaceChildren(...book.plays.slice(0, SHOWN_PLAYS).map((play) => {
      const row = element("li", "", { what: play.what, mark: play.mark });
      row.className = play.id === fresh ? "play fresh" : "play";
      const text = element("p", play.txt);
      text.title = play.was ? `${play.txt} (first told as: ${play.was})` : play.txt;
      row.append(element("time", play.clock ? minutes(play.clock.ms / 1000) : ""), text);
      if (play.mark) row.append(Object.assign(element("span", play.mark, { of: play.mark }), { className: "tag" }));
      else if (play.what === "goal") row.append(Object.assign(element("span", "goal"), { className: "tag" }));
      return row;
    }));
  }
}
