// The sync meter as it is shown: figures and a histogram for each viewer.

import { element } from "./card.js";

const BARS = [
  { of: "early", name: "early", has: (/** @type {number} */ error) => error < 0 },
  ...[0, 1, 2, 3].map((at) => ({ of: String(at), name: String(at), has: (/** @type {number} */ error) => error === at })),
  { of: "4", name: "4–9", has: (/** @type {number} */ error) => error >= 4 && error < 10 },
  { of: "10", name: "10+", has: (/** @type {number} */ error) => error >= 10 },
];
const SVG = "http://www.w3.org/2000/svg";

/** One viewer's gauge. */
export class Gauge {
  /**
   * @param {HTMLElement} parent
   * @param {string} name
   * @param {string} title
   */
  constructor(parent, name, title) {
    this.root = element("div", "", { of: name });
    this.root.className = "gauge";
    const head = element("header", title);
    this.output = element("output");
    head.append(this.output);
    const figures = document.createElement("dl");
    figures.className = "figures";
    /** @type {Record<string, HTMLElement>} */
    this.figures = {};
    for (const [key, label] of [["count", "cues"], ["share", "within 1"], ["worst", "worst"], ["early", "early"]]) {
      const box = element("div");
      this.figures[key] = element("dd", "–");
      box.append(element("dt", label), this.figures[key]);
      figures.append(box);
    }
    const bars = element("div");
    bars.className = "bars";
    bars.setAttribute("role", "img");
    this.bars = bars;
    /** @type {SVGElement[]} */
    this.rects = BARS.map(({ of, name: label }) => {
      const bar = element("div", "", { of });
      bar.className = "bar";
      const svg = document.createElementNS(SVG, "svg");
      svg.setAttribute("viewBox", "0 0 10 44");
      svg.setAttribute("preserveAspectRatio", "none");
      const rect = document.createElementNS(SVG, "rect");
      const line = document.createElementNS(SVG, "line");
      for (const [at, value] of Object.entries({ x1: 0, x2: 10, y1: 43, y2: 43 })) line.setAttribute(at, String(value));
      svg.append(rect, line);
      bar.append(svg, element("span", label));
      bars.append(bar);
      return rect;
    });
    this.aside = element("p");
    this.aside.className = "aside";
    this.root.append(head, figures, bars, this.aside);
    parent.append(this.root);
  }

  /** @param {import("./viewer.js").Viewer} viewer */
  show({ meter, shown }) {
    const { figures } = this;
    this.output.textContent = shown === null ? "no picture yet" : `picture ${String(shown).padStart(7, "0")}`;
    figures.count.textContent = String(meter.count);
    figures.share.textContent = meter.even ? `${Math.floor(meter.share * 100)} %` : "–";
    figures.worst.textContent = meter.even ? (meter.worst > 0 ? `+${meter.worst}` : String(meter.worst)) : "–";
    figures.early.textContent = meter.even ? String(meter.early) : "–";
    if (figures.early.parentElement) figures.early.parentElement.dataset.good = meter.early === 0 ? "1" : "0";
    const counts = BARS.map(({ has }) => [...meter.histogram].reduce((sum, [error, count]) => sum + (has(error) ? count : 0), 0));
    const most = Math.max(1, ...counts);
    this.rects.forEach((rect, index) => {
      // A single one must be seen beside a thousand.
      const height = counts[index] ? 3 + (38 * counts[index]) / most : 0;
      for (const [at, value] of Object.entries({ x: 0, width: 10, y: 42 - height, height, rx: 1 })) rect.setAttribute(at, String(value));
    });
    this.bars.setAttribute("aria-label", BARS.map(({ name }, index) => `${name}: ${counts[index]}`).join(", "));
    this.aside.textContent = `${meter.byVendor} vendor late, ${meter.caughtUp} after a break, ${meter.dropped} frames dropped`;
  }
}
