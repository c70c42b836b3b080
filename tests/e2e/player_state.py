"""What hls.js is about: asked of a page whose player stands still, so that the failure says why.

hls.js has no public word for most of it, so it is read from its controllers' own fields (1.7): whatever is missing is
null, and asking never fails.
"""

from __future__ import annotations

import json
from typing import Any

HEARD = """window.heard = [];
window.hear = (hls) => {
  const began = performance.now(), note = (what, more) => {
    window.heard.push({at_ms: Math.round(performance.now() - began), what, ...more});
    if (window.heard.length > 60) window.heard.shift();
  };
  hls.on(Hls.Events.ERROR, (_, data) => note("error", {
    details: data.details, fatal: data.fatal, parent: data.parent, sn: data.frag && data.frag.sn,
    cc: data.frag && data.frag.cc, reason: data.reason, said: data.error && data.error.message,
    status: data.response && data.response.code,
  }));
  hls.on(Hls.Events.INIT_PTS_FOUND, (_, data) => note("init pts", {
    id: data.id, sn: data.frag.sn, cc: data.frag.cc, init_pts: data.initPTS, timescale: data.timescale,
  }));
  hls.on(Hls.Events.FRAG_BUFFERED, (_, {frag}) => note("buffered", {
    type: frag.type, sn: frag.sn, cc: frag.cc, start: frag.start, end: frag.end, uri: frag.relurl,
  }));
};
"""
"""Has a page take note of what hls.js says: errors, not only the fatal ones, and what it puts into its buffers."""

ASK = """() => {
  const video = document.querySelector("video"), hls = window.hls;
  const ranges = (all) => all ? Array.from({length: all.length}, (_, i) => [all.start(i), all.end(i)]) : null;
  const frag = (one) => one ? {sn: one.sn, cc: one.cc, start: one.start, end: one.end, uri: one.relurl} : null;
  const list = (all) => all ? {
    sn: [all.startSN, all.endSN], cc: [all.startCC, all.endCC], start: all.fragmentStart, end: all.edge,
    age_s: all.age, text: all.m3u8,
  } : null;
  const one = (controller) => {
    const levels = controller.levels || [], level = levels[controller.trackId ?? hls.loadLevel];
    return {
      type: controller.playlistType, state: controller.state, current: frag(controller.fragCurrent),
      previous: frag(controller.fragPrevious), waiting_for: frag(controller.waitingData && controller.waitingData.frag),
      anchor: frag(controller.mainAnchor),
      main_loading: frag(controller.mainFragLoading && controller.mainFragLoading.frag),
      init_pts_of_cc: Object.keys(controller.initPTS || {}), next_load: controller.nextLoadPosition,
      list: list(level && level.details),
    };
  };
  const all = (hls && hls.networkControllers) || [];
  const controllers = all.filter((it) => ["main", "audio"].includes(it.playlistType));
  const buffers = {};
  for (const [name, track] of Object.entries((hls && hls.bufferController && hls.bufferController.tracks) || {})) {
    buffers[name] = track && track.buffer ? ranges(track.buffer.buffered) : null;
  }
  return {
    video: video && {
      time: video.currentTime, paused: video.paused, seeking: video.seeking, ready: video.readyState,
      buffered: ranges(video.buffered), played: ranges(video.played), error: video.error && video.error.message,
    },
    live_sync: hls ? hls.liveSyncPosition : null, buffers, controllers: controllers.map(one),
    heard: window.heard || null,
  };
}"""
"""Returns all that a page's player has, and waits for."""


def told(state: dict[str, Any]) -> str:
    """Return a player's state as a text for people: a line each, playlists as they came."""
    out, texts = [], []
    for name, value in state.items():
        lines = value if name in ("heard", "controllers") and value else [value]
        for line in lines:
            shown = line
            if name == "controllers":
                shown = {**line, "list": dict(line["list"] or {})}
                if text := shown["list"].pop("text", None):
                    texts.append(f"the last list of {line['type']}:\n{text.rstrip()}")
            out.append(f"{name}: {json.dumps(shown)}")
    return "\n".join([*out, *texts])
