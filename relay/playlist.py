"""Write the relay's own media playlists (RFC 8216, 4.3), from the origin's lines.

A segment's own lines go out byte for byte, unknown tags included. Only what names or counts things is written
anew: media and discontinuity sequence, KEY and MAP with gated names, other tags' URIs, the segment's URI, ENDLIST. A
byte range of the origin's is left out: under our name stands the cut piece, of init sections too, so that no name
leads to what is not released.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from kernel.attributes import attribute_list, with_attribute, with_iv
from kernel.dates import format_date
from kernel.errors import OriginError
from kernel.playlist import MediaPlaylist, PlaylistSegment
from kernel.timeline import SegmentKey
from relay.rewriting import rewrite_uris

_EXTENSION = re.compile(r"\.[a-z0-9]{1,5}")
_NO_KEY = "#EXT-X-KEY:METHOD=NONE"
_RANGE = re.compile(r',BYTERANGE="(\d{1,18})(?:@(\d{1,18}))?"|(?<=:)BYTERANGE="(\d{1,18})(?:@(\d{1,18}))?",')

MIN_VERSION = 6
"""The least version that we write: what it must cover may come with any later segment, and it must not change."""

Resolve = Callable[[str], str]
"""Turn a URI as written in the origin's playlist into an absolute one."""


@dataclass(frozen=True, slots=True)
class Asset:
    """Something beside segments that a playlist names: where it is, and which bytes of it (offset and length)."""

    ref: str
    byte_range: tuple[int, int] | None = None
    base: str | None = None
    """For an asset list: what the relative URIs in it are relative to."""
    is_key: bool = False


@dataclass(frozen=True, slots=True)
class Listed:
    """A segment that is out, with all that its place in the list decides; it never changes after.

    `lines` are its own lines without the URI, `key_lines` and `map_line` the state it needs, all with gated names.
    `discontinuities` says how many EXT-X-DISCONTINUITY stand before it: more than one where what lies between them has
    no segment in this rendition, but has one in others. `discontinuity_sequence` counts them (RFC 8216, 6.2.1: all tags
    before the segment count). `broken` says that the segment before it was never seen: a list must not span such a
    hole, since numbers in a list are consecutive.
    """

    key: SegmentKey
    ref: str
    segment: PlaylistSegment
    discontinuities: int
    discontinuity_sequence: int
    broken: bool
    lines: tuple[str, ...]
    key_lines: tuple[str, ...]
    map_line: str | None
    assets: tuple[tuple[str, Asset], ...]


def extension(ref: str) -> str:
    """Return the file ending of a URI, lower case with its dot, or `.ts` if it has none that is plain."""
    ending = posixpath.splitext(urlsplit(ref).path)[1].lower()
    return ending if _EXTENSION.fullmatch(ending) else ".ts"


def segment_name(item: Listed) -> str:
    """Return the name of a segment below its rendition."""
    return f"{item.key.generation}-{item.key.msn}{extension(item.ref)}"


def asset_name(kind: str, asset: Asset) -> str:
    """Return the name of a key, an init section, data or a list of assets: telling nothing of its URI."""
    ending = {"key": ".bin", "init": extension(asset.ref), "data": ".bin", "list": ".json"}[kind]
    return f"{kind}-{hashlib.sha256(f'{asset.ref} {asset.byte_range}'.encode()).hexdigest()[:16]}{ending}"


def listed(
    segment: PlaylistSegment,
    key: SegmentKey,
    ref: str,
    resolve: Resolve,
    *,
    discontinuities: int,
    discontinuity_sequence: int,
    broken: bool,
    prefix: str,
    wall: float | None = None,
) -> Listed:
    """Return a segment as it will stand in the list, every URI of its lines under a gated name.

    Args:
        segment: the origin's.
        key: our number of it.
        ref: its absolute URI.
        resolve: turns a URI of its lines into an absolute one.
        discontinuities: how many stand before it, the origin's or ours.
        discontinuity_sequence: its number, its own tags counted.
        broken: whether what lay before it was never seen.
        prefix: stands before names in the playlist.
        wall: its date in Unix seconds, carried on from a segment that has one; said where its own lines have none, so
            that the list keeps its dates when that segment has left.
    """
    assets: list[tuple[str, Asset]] = []

    def gated(kind: str, asset: Asset) -> str:
        name = asset_name(kind, asset)
        assets.append((name, asset))
        return prefix + name

    def gate(attribute: str, uri: str) -> str | None:
        found = fetchable(uri, resolve)
        return None if found is None else gated("list", Asset(found, base=resolve("")))

    keys = tuple(_gated_key(line, key.msn, segment.msn, resolve, gated) for line in segment.keys)
    map_line = None if segment.map_line is None else _gated_map(segment.map_line, resolve, gated)
    own = (rewrite_uris(line, gate) for line in segment.lines[:-1] if not line.startswith("#EXT-X-BYTERANGE"))
    lines = tuple(line for line in own if line is not None)
    if wall is not None and segment.pdt is None:
        lines = (f"#EXT-X-PROGRAM-DATE-TIME:{format_date(wall)}", *lines)
    return Listed(
        key, ref, segment, discontinuities, discontinuity_sequence, broken, lines, keys, map_line, tuple(assets)
    )  # fmt: skip


@dataclass(slots=True)
class Head:
    """The playlist-level tags of one of our playlists.

    They are the origin's at first sight and stay what they are (RFC 8216, 6.2.1); `kind` and `target_s` may be changed
    by who lists segments. `whole` says that the list shows everything from its beginning.
    """

    version: int
    target_s: int
    kind: Literal["EVENT", "VOD"] | None
    whole: bool
    independent_segments: bool
    lines: tuple[str, ...]


def head_of(origin: MediaPlaylist) -> Head:
    """Return the playlist-level tags that a rendition has whose origin's first copy is `origin`."""
    lines = (rewrite_uris(text, lambda _, __: None) for text in origin.header)
    return Head(
        # 7: an IV needs 2, fractions of seconds 3, I-frames 4, key formats 5, MAP 6; any of them may come later.
        version=max(origin.version, MIN_VERSION),
        target_s=origin.target_duration_s,
        kind=origin.playlist_type,
        # A list that was complete when we came, or promises to keep everything, is shown whole.
        whole=origin.ended or origin.playlist_type is not None,
        independent_segments=origin.independent_segments,
        lines=tuple(line for line in lines if line is not None),
    )


def head_text(head: Head, first: Listed, *, number: int | None = None) -> str:
    """Return what stands above the segments of a list that begins with `first`.

    Args:
        head: the playlist-level tags.
        first: the segment.
        number: its media sequence number, None for its own.
    """
    lines = [
        "#EXTM3U",
        f"#EXT-X-VERSION:{head.version}",
        f"#EXT-X-TARGETDURATION:{head.target_s}",
        f"#EXT-X-MEDIA-SEQUENCE:{first.key.msn if number is None else number}",
        # 4.3.3.3: the number of the first segment, its own tags not counted because those still stand in the list.
        f"#EXT-X-DISCONTINUITY-SEQUENCE:{first.discontinuity_sequence - first.discontinuities}",
    ]
    if head.kind is not None:
        lines.append(f"#EXT-X-PLAYLIST-TYPE:{head.kind}")
    if head.independent_segments:
        lines.append("#EXT-X-INDEPENDENT-SEGMENTS")
    return "\n".join([*lines, *head.lines, ""])


def item_text(before: Listed | None, item: Listed, *, prefix: str) -> str:
    """Return the lines of a segment, with what must be said of its key and init section behind `before`.

    Args:
        before: the segment that stands before it in the list, None for the first.
        item: the segment.
        prefix: stands before its name.
    """
    lines = ["#EXT-X-DISCONTINUITY"] * item.discontinuities
    keys = before.key_lines if before is not None else ()
    if item.key_lines != keys:
        if not item.key_lines or _formats(keys) - _formats(item.key_lines):
            # 4.3.2.4: a key holds until another one of its format; only NONE ends it without one.
            lines.append(_NO_KEY)
        lines.extend(item.key_lines)
    map_line = before.map_line if before is not None else None
    # 4.3.2.5: a MAP holds until the next one; after a discontinuity it is said again for players that start there.
    if item.map_line is not None and (item.map_line != map_line or item.discontinuities):
        lines.append(item.map_line)
    return "\n".join([*lines, *item.lines, prefix + segment_name(item), ""])


def compose(head: Head, items: Sequence[Listed], *, ended: bool, prefix: str) -> str:
    """Return the playlist that lists `items`, which is not empty and has consecutive numbers.

    Args:
        head: the playlist-level tags.
        items: the segments that are out, oldest first.
        ended: whether nothing will be added any more.
        prefix: stands before the segments' names.
    """
    texts = [item_text(before, item, prefix=prefix) for before, item in zip((None, *items), items, strict=False)]
    return "".join([head_text(head, items[0]), *texts, "#EXT-X-ENDLIST\n" if ended else ""])


def _formats(key_lines: tuple[str, ...]) -> set[str]:
    return {attribute_list(line.partition(":")[2]).get("KEYFORMAT", "identity") for line in key_lines}


def fetchable(uri: str, resolve: Resolve) -> str | None:
    """Return the absolute form of a URI that can be fetched, None for one that only a player's DRM understands."""
    try:
        ref = resolve(uri)
    except OriginError:
        return None
    return ref if ref.startswith(("http://", "https://", "file://")) else None


def _gated_key(line: str, msn: int, origin_msn: int, resolve: Resolve, gated: Callable[[str, Asset], str]) -> str:
    uri = attribute_list(line.partition(":")[2]).get("URI")
    ref = None if uri is None else fetchable(uri, resolve)
    if ref is None:
        return line
    if msn != origin_msn:
        # 5.2: without IV the origin's media sequence number is the IV; under our number it must be said.
        line = with_iv(line, origin_msn)
    return with_attribute(line, "URI", gated("key", Asset(ref, is_key=True)))


def _gated_map(line: str, resolve: Resolve, gated: Callable[[str, Asset], str]) -> str:
    uri = attribute_list(line.partition(":")[2]).get("URI")
    ref = None if uri is None else fetchable(uri, resolve)
    if ref is None:
        return line
    cut = _RANGE.search(line)
    # 4.3.2.5: without an offset the section begins at the first byte.
    byte_range = (int(cut[2] or cut[4] or 0), int(cut[1] or cut[3])) if cut else None
    return with_attribute(_RANGE.sub("", line), "URI", gated("init", Asset(ref, byte_range)))
