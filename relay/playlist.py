"""Write the relay's own media playlists (RFC 8216, 4.3), from the origin's lines.

A segment's own lines go out byte for byte, unknown tags included. Only what names or counts things is written
anew: media and discontinuity sequence, KEY and MAP with gated names, the segment's URI, ENDLIST. A byte range of
the origin's is left out: under our name stands the cut piece.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from kernel.attributes import attribute_list, with_attribute, with_iv
from kernel.errors import OriginError
from kernel.playlist import MediaPlaylist, PlaylistSegment
from kernel.timeline import SegmentKey

RENDITION = "main"
"""The name of the only rendition of a stream whose origin serves one media playlist."""

_EXTENSION = re.compile(r"\.[a-z0-9]{1,5}")
_NO_KEY = "#EXT-X-KEY:METHOD=NONE"

Resolve = Callable[[str], str]
"""Turn a URI as written in the origin's playlist into an absolute one."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A segment that is out, with all that its place in the list decides; it never changes after.

    `discontinuity_sequence` counts this segment's own tag (RFC 8216, 6.2.2). `broken` says that the segment
    before it was never seen: a list must not span such a hole, since numbers in a list are consecutive.
    """

    key: SegmentKey
    ref: str
    segment: PlaylistSegment
    discontinuity: bool
    discontinuity_sequence: int
    broken: bool
    resolve: Resolve


def extension(ref: str) -> str:
    """Return the file ending of a URI, lower case with its dot, or `.ts` if it has none that is plain."""
    ending = posixpath.splitext(urlsplit(ref).path)[1].lower()
    return ending if _EXTENSION.fullmatch(ending) else ".ts"


def segment_name(listed: Listed) -> str:
    """Return the name of a segment below its rendition."""
    return f"{listed.key.generation}-{listed.key.msn}{extension(listed.ref)}"


def asset_name(kind: str, ref: str) -> str:
    """Return the name of a key or an init segment below its rendition: telling nothing of its URI."""
    ending = extension(ref) if kind == "init" else ".bin"
    return f"{kind}-{hashlib.sha256(ref.encode()).hexdigest()[:16]}{ending}"


def assets(listed: Listed) -> Iterable[tuple[str, str]]:
    """Yield (name, absolute URI) of each key and init segment that a segment needs from the origin."""
    for line in listed.segment.keys:
        ref = _fetchable(line, listed.resolve)
        if ref is not None:
            yield asset_name("key", ref), ref
    if listed.segment.map_line is not None:
        ref = _fetchable(listed.segment.map_line, listed.resolve)
        if ref is not None:
            yield asset_name("init", ref), ref


def compose(origin: MediaPlaylist, listed: Sequence[Listed], *, ended: bool) -> str:
    """Return the playlist that lists `listed`, which is not empty and has consecutive numbers.

    Args:
        origin: the origin's newest copy, for the playlist-level tags.
        listed: the segments that are out, oldest first.
        ended: whether nothing will be added any more.
    """
    first = listed[0]
    longest = max(item.segment.duration_s for item in listed)
    lines = [
        "#EXTM3U",
        f"#EXT-X-VERSION:{max(origin.version, 3)}",
        # 4.3.3.1: each EXTINF, rounded to the nearest integer, is at most the target duration.
        f"#EXT-X-TARGETDURATION:{max(origin.target_duration_s, int(longest + 0.5))}",
        f"#EXT-X-MEDIA-SEQUENCE:{first.key.msn}",
        # 4.3.3.3: the number of the first segment, its own tag not counted because that still stands in the list.
        f"#EXT-X-DISCONTINUITY-SEQUENCE:{first.discontinuity_sequence - first.discontinuity}",
    ]
    if origin.playlist_type == "VOD":
        # 4.3.3.5: a VOD playlist cannot change; until all of it is out it only grows, which is an EVENT.
        lines.append(f"#EXT-X-PLAYLIST-TYPE:{'VOD' if ended else 'EVENT'}")
    elif origin.playlist_type == "EVENT":
        lines.append("#EXT-X-PLAYLIST-TYPE:EVENT")
    if origin.independent_segments:
        lines.append("#EXT-X-INDEPENDENT-SEGMENTS")
    lines.extend(origin.header)
    keys: tuple[str, ...] = ()
    map_line: str | None = None
    for item in listed:
        if item.discontinuity:
            lines.append("#EXT-X-DISCONTINUITY")
        wanted = tuple(_gated_key(line, item) for line in item.segment.keys)
        if wanted != keys:
            lines.extend(wanted or (_NO_KEY,))
            keys = wanted
        wanted_map = _gated_map(item)
        # 4.3.2.5: a MAP holds until the next one; after a discontinuity it is said again for players that start there.
        if wanted_map is not None and (wanted_map != map_line or item.discontinuity):
            lines.append(wanted_map)
        map_line = wanted_map
        lines.extend(line for line in item.segment.lines[:-1] if not line.startswith("#EXT-X-BYTERANGE"))
        lines.append(f"{RENDITION}/{segment_name(item)}")
    if ended:
        lines.append("#EXT-X-ENDLIST")
    return "\n".join(lines) + "\n"


def _gated_key(line: str, item: Listed) -> str:
    ref = _fetchable(line, item.resolve)
    if ref is None:
        return line
    if item.key.msn != item.segment.msn:
        # 5.2: without IV the origin's media sequence number is the IV; under our number it must be said.
        line = with_iv(line, item.segment.msn)
    return with_attribute(line, "URI", f"{RENDITION}/{asset_name('key', ref)}")


def _gated_map(item: Listed) -> str | None:
    line = item.segment.map_line
    if line is None:
        return None
    ref = _fetchable(line, item.resolve)
    return line if ref is None else with_attribute(line, "URI", f"{RENDITION}/{asset_name('init', ref)}")


def _fetchable(line: str, resolve: Resolve) -> str | None:
    """Return the absolute URI that a KEY or MAP line names, None for one that only the player's DRM understands."""
    uri = attribute_list(line.partition(":")[2]).get("URI")
    if uri is None:
        return None
    try:
        ref = resolve(uri)
    except OriginError:
        return None
    return ref if ref.startswith(("http://", "https://", "file://")) else None
