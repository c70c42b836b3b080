// Reads the number that a picture shows: along its bottom edge stand 24 cells, white for one. Twenty bits of number, the
// highest first, then four that say whether those were read right. `lockstep/demo/picture.py` draws them.

export const NUMBER_BITS = 20;
const CHECK_BITS = 4;
const CELLS = NUMBER_BITS + CHECK_BITS;

// Where the cells stand, as a share of the picture's height, and how finely a cell is looked at.
const STRIP_TOP = 422 / 432;
const STRIP_HEIGHT = 8 / 432;
const PIXELS = 4;

/**
 * Return the check of a number, 0 to 15.
 * @param {number} number
 */
export function checkOf(number) {
  let sum = 5;
  for (let at = 0; at < NUMBER_BITS / 4; at += 1) sum += ((number >> (4 * at)) & 15) * (2 * at + 1);
  return sum & 15;
}

/**
 * Return the number that 24 cells say, null if they contradict themselves.
 * @param {boolean[]} cells
 */
export function numberOf(cells) {
  let bits = 0;
  for (const cell of cells) bits = bits * 2 + (cell ? 1 : 0);
  const number = Math.floor(bits / 2 ** CHECK_BITS);
  return bits % 2 ** CHECK_BITS === checkOf(number) ? number : null;
}

// Within one callback of a frame the picture is looked at once: a canvas may already be given the next frame, while the one
// that the callback is for is on the glass. Half a frame at sixty a second.
const SAME_MS = 8;

/** Reads the numbers of one video. */
export class Counter {
  /** @param {HTMLVideoElement} video */
  constructor(video) {
    this.video = video;
    const canvas = document.createElement("canvas");
    canvas.width = CELLS * PIXELS;
    canvas.height = 2;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true }));
    /** @type {number | null} */
    this.last = null;
    this.readAt = -SAME_MS;
  }

  /**
   * Return the number on show, null if there is none to read.
   * @param {number} now in ms
   */
  read(now) {
    if (now - this.readAt < SAME_MS) return this.last;
    this.readAt = now;
    const { videoWidth: width, videoHeight: height } = this.video;
    if (!width) return (this.last = null);
    const { context } = this;
    context.drawImage(this.video, 0, height * STRIP_TOP, width, height * STRIP_HEIGHT, 0, 0, CELLS * PIXELS, 2);
    const row = context.getImageData(0, 1, CELLS * PIXELS, 1).data;
    const cells = [];
    for (let cell = 0; cell < CELLS; cell += 1) cells.push(row[(cell * PIXELS + PIXELS / 2) * 4] > 125);
    return (this.last = numberOf(cells));
  }
}
