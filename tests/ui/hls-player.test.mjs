import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import test from "node:test";

import { HlsPlayer } from "../../ui/sdk/hls-player.js";

globalThis.document = { hidden: false };

/** As much of an hls.js instance as the player relies on: events, and their names on its class. */
class Hls extends EventEmitter {
  static Events = { MANIFEST_LOADING: "m", INIT_PTS_FOUND: "i", FRAG_BUFFERED: "b" };

  found(cc, initPTS, timescale, id = "main") {
    this.emit("i", "i", { id, frag: { cc }, initPTS, timescale });
  }

  buffered(sn, start, cc = 0, type = "main", tag = "") {
    this.emit("b", "b", { frag: { type, sn, start, cc, url: `https://a.example/hls/t/game/main/${tag}0-${sn}.ts` } });
  }
}

/** As much of a video element: an event target with a clock, and frames on demand. */
class Video extends EventTarget {
  paused = false;
  ended = false;
  seeking = false;
  readyState = 4;
  playbackRate = 1;
  currentTime = 0;
  #callback = null;

  requestVideoFrameCallback(callback) {
    this.#callback = callback;
    return 1;
  }

  cancelVideoFrameCallback() {
    this.#callback = null;
  }

  show(mediaTime) {
    this.currentTime = mediaTime;
    this.#callback?.(0, { mediaTime });
  }

  tell(name) {
    this.dispatchEvent(new Event(name));
  }
}

function playing() {
  const hls = new Hls();
  const video = new Video();
  const player = new HlsPlayer(hls, video);
  const seen = [];
  const changes = [];
  player.onframe = ({ msn, pts }) => seen.push([msn, pts]);
  player.onchange = () => changes.push([player.place?.pts ?? null, player.rate, player.stalled]);
  return { hls, video, player, seen, changes };
}

test("frames are told of from when their segment is known", (t) => {
  const { hls, video, player, seen, changes } = playing();
  t.after(() => player.close());
  video.show(0);
  assert.deepEqual(seen, []);
  hls.found(0, 48_000 * 10, 48_000);
  hls.buffered("initSegment", 0);
  hls.buffered(3, 0, 0, "audio");
  hls.buffered(3, 0);
  assert.deepEqual(seen, [[3, 900_000]]);
  assert.deepEqual(changes, [[900_000, 1, false]]);
  video.show(0.04);
  assert.deepEqual(seen[1], [3, 903_600]);
});

test("each discontinuity has an offset of its own, without a timescale in ticks", (t) => {
  const { hls, video, player, seen } = playing();
  t.after(() => player.close());
  hls.found(0, 0);
  hls.found(1, 500 * 90_000);
  hls.found(1, 7, 90_000, "audio");
  hls.buffered(3, 0);
  hls.buffered(4, 2, 1);
  video.show(1.96);
  video.show(2);
  assert.deepEqual(seen, [[3, 176_400], [4, 502 * 90_000]]);
  hls.emit("m", "m", {});
  video.show(2.04);
  assert.equal(seen.length, 2);
});

test("pauses, stalls, rates and seeks are news", (t) => {
  const { hls, video, player, changes } = playing();
  t.after(() => player.close());
  hls.found(0, 0, 90_000);
  hls.buffered(3, 0);
  video.show(1);
  video.paused = true;
  video.tell("pause");
  video.paused = false;
  video.playbackRate = 1.5;
  video.tell("ratechange");
  video.readyState = 2;
  video.tell("waiting");
  video.readyState = 4;
  video.tell("playing");
  assert.deepEqual(changes.slice(1), [
    [90_000, 0, false],
    [90_000, 1.5, false],
    [90_000, 1.5, true],
    [90_000, 1.5, false],
  ]);
  // Behind a seek the place is the old one until a frame of the new place is on show.
  video.currentTime = 60;
  video.tell("seeking");
  assert.equal(player.stalled, true);
  hls.buffered(33, 60);
  video.show(60);
  assert.deepEqual(changes.slice(5), [[90_000, 1.5, true], [60 * 90_000, 1.5, false]]);
});

test("at the end the clock runs on until the last frame has been shown", (t) => {
  const { hls, video, player, changes } = playing();
  t.after(() => player.close());
  let ended = 0;
  player.onend = () => (ended += 1);
  hls.found(0, 0, 90_000);
  hls.buffered(3, 0);
  video.show(1.96);
  Object.assign(video, { paused: true, ended: true, readyState: 2 });
  video.tell("ended");
  assert.equal(ended, 1);
  assert.deepEqual(changes.at(-1), [176_400, 1, false]);
});

test("nothing is told behind its close", () => {
  const { hls, video, player, seen } = playing();
  hls.found(0, 0, 90_000);
  hls.buffered(3, 0);
  player.close();
  video.show(1);
  video.tell("pause");
  hls.buffered(4, 2);
  assert.deepEqual(seen, []);
  assert.equal(player.frames.segments.length, 1);
});

test("another showing's segments are told of as such, when they come and when they go", (t) => {
  const { hls, video, player, changes } = playing();
  t.after(() => player.close());
  for (const cc of [0, 1, 2]) hls.found(cc, 0);
  hls.buffered(5, 0);
  hls.buffered(40, 2, 1, "audio", "0123abcd-");
  hls.buffered(41, 2, 1, "main", "0123abcd-");
  hls.buffered(7, 4, 2);
  video.show(1.96);
  assert.deepEqual(player.place, { msn: 5, cc: 0, pts: 176_400 });
  const before = changes.length;
  video.show(2);
  video.show(2.04);
  assert.deepEqual(player.place, { msn: 5, cc: 0, pts: 180_000, away: true });
  assert.equal(changes.length, before + 1);
  video.show(4);
  assert.deepEqual(player.place, { msn: 7, cc: 2, pts: 360_000 });
  assert.equal(changes.length, before + 2);
});
