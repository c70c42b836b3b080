"""Multivariant playlists (RFC 8216, 4.3.4): which media playlists belong to one presentation, line for line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from kernel.attributes import attribute_list
from kernel.errors import PlaylistError
from kernel.playlist import SEGMENT_TAGS, playlist_lines
from kernel.variables import Variables, read_defines, substitute

MAX_ITEMS = 1_000
"""Variants, renditions and all else; Apple's own examples with every codec and language have about a hundred."""

Role = Literal["variant", "rendition", "iframe", "session_data", "session_key", "other"]
Kind = Literal["video", "audio", "subtitles", "closed-captions", "iframe"]

_LISTS_PLAYLISTS = re.compile(r"^#EXT-X-(?:STREAM-INF|I-FRAME-STREAM-INF|MEDIA):", re.MULTILINE)
_ROLES: dict[str, Role] = {
    "#EXT-X-STREAM-INF": "variant", "#EXT-X-MEDIA": "rendition", "#EXT-X-I-FRAME-STREAM-INF": "iframe",
    "#EXT-X-SESSION-DATA": "session_data", "#EXT-X-SESSION-KEY": "session_key",
}  # fmt: skip
# 4.3.4.1 to 4.3.4.5: what each must have.
_REQUIRED: dict[Role, tuple[str, ...]] = {
    "variant": ("BANDWIDTH",), "rendition": ("TYPE", "GROUP-ID", "NAME"), "iframe": ("BANDWIDTH", "URI"),
    "session_data": ("DATA-ID",), "session_key": ("METHOD", "URI"),
}  # fmt: skip
_KINDS: dict[str, Kind] = {
    "VIDEO": "video", "AUDIO": "audio", "SUBTITLES": "subtitles", "CLOSED-CAPTIONS": "closed-captions",
}  # fmt: skip
# RFC 6381 names of video codecs begin so.
_VIDEO_CODECS = (
    "avc", "hvc", "hev", "dvh", "dva", "dav", "vp0", "vp8", "vp9", "av01", "mp4v", "mp2v", "vvc", "vvi", "s263", "mjp",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of a multivariant playlist.

    Args:
        lines: the tag, and for a variant its URI; as they stand, but with variables substituted where `role` is not
            "other".
        role: what the tag declares; "other" for all that is no entry, such as EXT-X-VERSION or an unknown tag.
        kind: of the media that it names, None where it names none.
        uri: of the media playlist or resource, as written but with variables substituted, not resolved.
        attributes: without quotes, with variables substituted; empty for "other".
    """

    lines: tuple[str, ...]
    role: Role
    kind: Kind | None = None
    uri: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MultivariantPlaylist:
    """A multivariant playlist: its lines in their order, but #EXTM3U, EXT-X-DEFINE, comments and blank ones.

    `variables` are those that its media playlists may import: what they hold is often the origin's address or the key
    to it, and no affair of a viewer's. There is at least one variant.
    """

    items: tuple[Item, ...]
    variables: Variables = field(default_factory=dict)

    @property
    def lead(self) -> Item:
        """Return the variant that gives the times: the first that has video as far as it says, else the first."""
        variants = [item for item in self.items if item.role == "variant"]
        return next((item for item in variants if item.kind == "video"), variants[0])


def is_multivariant(text: str) -> bool:
    """Tell whether a playlist lists media playlists; one that also lists segments is refused by either reader."""
    return _LISTS_PLAYLISTS.search(text) is not None


def parse_multivariant(text: str, *, query: str = "") -> MultivariantPlaylist:
    """Read a multivariant playlist.

    Args:
        text: all of it.
        query: of the URL that it came from, without the question mark, for EXT-X-DEFINE with QUERYPARAM.

    Raises:
        PlaylistError: it is none, or one that we cannot serve faithfully; the text says why and in which line.
    """
    lines = playlist_lines(text)
    variables = read_defines(lines, query=query)
    items: list[Item] = []
    awaited: str | None = None
    for number, line in enumerate(lines[1:], 2):
        if not line or line.startswith("#EXT-X-DEFINE:") or (line.startswith("#") and not line.startswith("#EXT")):
            continue
        try:
            if awaited is not None:
                items.append(_variant(awaited, line, variables))
                awaited = None
            elif line.startswith("#EXT-X-STREAM-INF:"):
                awaited = line
            else:
                items.append(_item(line, variables))
        except PlaylistError as error:
            raise PlaylistError(f"line {number}: {error}") from None
        if len(items) > MAX_ITEMS:
            raise PlaylistError(f"more than {MAX_ITEMS:,} variants, renditions and other tags")
    if awaited is not None:
        raise PlaylistError("EXT-X-STREAM-INF at the end without a URI behind it (RFC 8216, 4.3.4.2)")
    if not any(item.role == "variant" for item in items):
        raise PlaylistError("no EXT-X-STREAM-INF: a multivariant playlist without a variant shows nothing")
    return MultivariantPlaylist(tuple(items), variables)


def _variant(line: str, uri: str, variables: Variables) -> Item:
    if uri.startswith("#"):
        raise PlaylistError(f"{uri[:40]!r} stands where the URI of EXT-X-STREAM-INF must (RFC 8216, 4.3.4.2)")
    line, uri = substitute(line, variables), substitute(uri, variables)
    attributes = _attributes(line, "variant")
    codecs = [codec.strip().lower() for codec in attributes.get("CODECS", "").split(",")]
    sees = "RESOLUTION" in attributes or codecs == [""] or any(codec.startswith(_VIDEO_CODECS) for codec in codecs)
    return Item((line, uri), "variant", "video" if sees else "audio", uri, attributes)


def _item(line: str, variables: Variables) -> Item:
    tag = line.partition(":")[0]
    if not tag.startswith("#"):
        raise PlaylistError(f"{line[:60]!r} stands without EXT-X-STREAM-INF (RFC 8216, 4.3.4.2)")
    if tag in SEGMENT_TAGS:
        # 4.3.4: media and multivariant tags in one playlist must not be parsed.
        raise PlaylistError(f"{tag} in a multivariant playlist (RFC 8216, 4.3.4)")
    role = _ROLES.get(tag, "other")
    if role == "other":
        return Item((line,), role)
    line = substitute(line, variables)
    attributes = _attributes(line, role)
    kind: Kind | None = "iframe" if role == "iframe" else None
    if role == "rendition":
        kind = _KINDS.get(attributes["TYPE"])
        if kind is None:
            # 6.3.1: a tag whose enumerated value is not known is to be ignored.
            return Item((line,), "other")
        # 4.3.4.1: captions lie within the video, subtitles never do.
        if ("URI" in attributes and kind == "closed-captions") or ("URI" not in attributes and kind == "subtitles"):
            raise PlaylistError("subtitles must have a URI and closed captions none (RFC 8216, 4.3.4.1)")
    return Item((line,), role, kind, attributes.get("URI"), attributes)


def _attributes(line: str, role: Role) -> Mapping[str, str]:
    found = attribute_list(line.partition(":")[2])
    for name in _REQUIRED[role]:
        if not found.get(name):
            raise PlaylistError(f"{line.partition(':')[0]} without {name} (RFC 8216, 4.3.4)")
    return found
