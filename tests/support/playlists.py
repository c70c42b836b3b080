"""Small playlists and timings for tests of pure modules."""

from __future__ import annotations

from collections.abc import Sequence

from kernel.playlist import MediaPlaylist, parse_media_playlist
from kernel.pts import TICKS_PER_S, Ticks
from kernel.timeline import SegmentTiming

BASE = "http://origin.test/live/"


def playlist(
    names: Sequence[str],
    *,
    first: int = 0,
    target_s: int = 2,
    ended: bool = False,
    kind: str | None = None,
    discontinuities: Sequence[int] = (),
    discontinuity_sequence: int = 0,
    extra: Sequence[str] = (),
) -> MediaPlaylist:
    """Return a playlist of 2 s segments with these names; `discontinuities` are indices."""
    lines = ["#EXTM3U", "#EXT-X-VERSION:3", f"#EXT-X-TARGETDURATION:{target_s}", f"#EXT-X-MEDIA-SEQUENCE:{first}"]
    lines.append(f"#EXT-X-DISCONTINUITY-SEQUENCE:{discontinuity_sequence}")
    if kind:
        lines.append(f"#EXT-X-PLAYLIST-TYPE:{kind}")
    lines.extend(extra)
    for index, name in enumerate(names):
        if index in discontinuities:
            lines.append("#EXT-X-DISCONTINUITY")
        lines += [f"#EXTINF:{target_s}.0,", name]
    if ended:
        lines.append("#EXT-X-ENDLIST")
    return parse_media_playlist("\n".join(lines) + "\n")


def refs(copy: MediaPlaylist) -> list[str]:
    """Return the absolute URIs of its segments."""
    return [BASE + segment.uri for segment in copy.segments]


def timing(
    msn: int,
    name: str,
    *,
    generation: int = 0,
    timeline: int = 0,
    start_s: float | None = None,
    duration_s: float = 2.0,
    wall: float | None = None,
) -> SegmentTiming:
    """Return the timing of a 2 s segment that lies at msn * 2 s unless said otherwise."""
    start = Ticks(round((msn * duration_s if start_s is None else start_s) * TICKS_PER_S))
    end = Ticks(start + round(duration_s * TICKS_PER_S))
    return SegmentTiming("game", generation, msn, None, BASE + name, timeline, start, end, wall, 0.0, "pdt")
