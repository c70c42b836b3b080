"""Media playlists (RFC 8216, 4.3): what stands in them, and the lines themselves, byte for byte.

How the work is divided. m3u8 reads the few playlist-level tags. Everything that stands with a segment is read here:
m3u8 does not say which lines belong to which segment, takes NaN for a duration, dies of a leap second and cuts lines
at U+2028. (No faster for that: 100,000 dated segments take 0.75 s here and 0.7 s in m3u8; 1,000 take 8 ms.)

What is tolerated, because origins do it and the meaning is plain: a byte order mark, CRLF, comments and blank lines
anywhere, EXTINF without a comma, a target duration with a fraction (rounded up), EXTINF beyond the target duration,
a date without a zone (RFC 8216, 4.3.2.6 says to read it as UTC), second 60, a date that cannot be read at all (the
segment then has none, and its timing says so by its method). What is refused is all that would let us serve something
else than the origin meant: no #EXTM3U, a multivariant playlist, no target duration, a URI without EXTINF, numbers
that are none, a delta update, a variable without a definition, a byte range that goes on from a segment that left.

Low-latency tags (parts, hints, reports) are left out: such an origin is followed segment by segment.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal, cast

from m3u8 import parser as m3u8_parser

from kernel.attributes import attribute_list
from kernel.dates import parse_date
from kernel.errors import PlaylistError
from kernel.variables import NO_VARIABLES, Variables, read_defines, substitute

MAX_SEGMENTS = 100_000
"""Fifty-five hours of two-second segments; the longest list we promise to survive."""

MAX_LINE_CHARS = 16_384
"""A key or a DATERANGE with SCTE-35 takes some hundred characters; nginx refuses header lines beyond 8 KiB."""

MAX_LINES = 1_000_000
"""Ten for each of the most segments: a date, a key, a DATERANGE and what vendors add."""

MAX_TAGS_TOGETHER = 1_000
"""Tags of the list itself, or of one segment: some packagers put the DATERANGEs of a whole day before the first."""

MAX_DURATION_S = 3_600.0
"""No segment is longer than an hour: recorders cut at ten seconds, RFC 8216's own examples too."""

MAX_KEYS_IN_FORCE = 32
"""EXT-X-KEY lines at one place, one for each key format: services name three, of the dozen DRM systems in use."""

MAX_EXPANDED_CHARS = 64 << 20
"""URIs with variables, all together: 100,000 that each grow by a signature of 600 characters."""

PlaylistType = Literal["EVENT", "VOD"]

_DECIMAL = re.compile(r"[0-9]{1,20}")  # RFC 8216, 4.2: decimal-integer, 0 to 2**64-1, 1 to 20 characters
_EXTINF = re.compile(r"#EXTINF:[ \t]*([0-9]{1,20}(?:\.[0-9]*)?)[ \t]*(?:,.*)?")
_BYTERANGE = re.compile(r'"?([0-9]{1,20})(?:@([0-9]{1,20}))?"?')

# Playlist-level tags whose meaning is in the fields of MediaPlaylist; who writes a playlist writes them anew.
_READ = {
    "#EXTM3U", "#EXT-X-VERSION", "#EXT-X-TARGETDURATION", "#EXT-X-MEDIA-SEQUENCE", "#EXT-X-DISCONTINUITY-SEQUENCE",
    "#EXT-X-PLAYLIST-TYPE", "#EXT-X-ENDLIST", "#EXT-X-INDEPENDENT-SEGMENTS",
}  # fmt: skip
# Playlist-level tags that are kept as they stand.
_KEPT = {"#EXT-X-START", "#EXT-X-I-FRAMES-ONLY", "#EXT-X-ALLOW-CACHE"}
# Low-latency tags (RFC 8216bis), which name parts or promise what only the origin keeps, and variables.
_LEFT_OUT = {
    "#EXT-X-PART", "#EXT-X-PART-INF", "#EXT-X-SERVER-CONTROL", "#EXT-X-PRELOAD-HINT", "#EXT-X-RENDITION-REPORT",
    "#EXT-X-DEFINE",
}  # fmt: skip
SEGMENT_TAGS = frozenset({
    "#EXTINF", "#EXT-X-BYTERANGE", "#EXT-X-DISCONTINUITY", "#EXT-X-KEY", "#EXT-X-MAP", "#EXT-X-PROGRAM-DATE-TIME",
    "#EXT-X-GAP", "#EXT-X-BITRATE", "#EXT-X-DATERANGE", "#EXT-X-PART",
})  # fmt: skip
_MULTIVARIANT = {"#EXT-X-STREAM-INF", "#EXT-X-I-FRAME-STREAM-INF", "#EXT-X-MEDIA"}
# What concerns the segment that follows and means nothing without it; a DATERANGE or a date does.
_ONLY_WITH_A_URI = ("#EXTINF", "#EXT-X-BYTERANGE", "#EXT-X-GAP")


@dataclass(frozen=True, slots=True)
class PlaylistSegment:
    """One segment of a media playlist, with the state in force where it stands.

    Args:
        uri: as written but with variables substituted, not resolved.
        duration_s: from EXTINF, 0 to 3,600.
        msn: the origin's media sequence number (RFC 8216, 4.3.3.2).
        discontinuity: EXT-X-DISCONTINUITY stands before it.
        discontinuity_sequence: RFC 8216, 4.3.3.3.
        pdt: Unix seconds, only if EXT-X-PROGRAM-DATE-TIME stands on this very segment.
        lines: its own lines byte for byte (variables of a DATERANGE substituted), the URI last; without playlist-level
            tags, comments, EXT-X-DISCONTINUITY, EXT-X-KEY and EXT-X-MAP, which are state.
        keys: the EXT-X-KEY lines in force, with variables substituted; none for clear media.
        map_line: the EXT-X-MAP line in force, likewise.
        gap: the origin says that its media is absent.
        byte_range: offset and length within the resource, None for all of it.
    """

    uri: str
    duration_s: float
    msn: int
    discontinuity: bool
    discontinuity_sequence: int
    pdt: float | None
    lines: tuple[str, ...]
    keys: tuple[str, ...] = ()
    map_line: str | None = None
    gap: bool = False
    byte_range: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class MediaPlaylist:
    """A media playlist (RFC 8216, 4.3.3).

    `header` are the other playlist-level tags, byte for byte: those known to be such, and unknown ones that stand
    before the last of them. EXT-X-DEFINE is not among them: what it defines has been substituted, and is often the
    origin's address or the key to it. `trailer` are tags behind the last URI, such as a DATERANGE: they belong to the
    next segment when it comes.
    """

    version: int
    target_duration_s: int
    media_sequence: int
    discontinuity_sequence: int
    playlist_type: PlaylistType | None
    ended: bool
    independent_segments: bool
    segments: tuple[PlaylistSegment, ...]
    header: tuple[str, ...] = ()
    trailer: tuple[str, ...] = ()

    @property
    def i_frames_only(self) -> bool:
        """Return whether each segment is one key frame (RFC 8216, 4.3.3.6)."""
        return "#EXT-X-I-FRAMES-ONLY" in self.header


def parse_media_playlist(text: str, *, imported: Variables = NO_VARIABLES, query: str = "") -> MediaPlaylist:
    """Read a media playlist; the module's docstring says what is tolerated and what is not.

    Args:
        text: all of it.
        imported: the variables of its multivariant playlist, which EXT-X-DEFINE may import.
        query: of the URL that it came from, without the question mark, for EXT-X-DEFINE with QUERYPARAM.

    Raises:
        PlaylistError: it is none, or one we cannot serve faithfully; the text says why and in which line.
    """
    lines = playlist_lines(text)
    tags = [line.partition(":")[0] for line in lines]
    _refuse_other_kinds(tags)
    variables = read_defines(lines, imported=imported, query=query) if "#EXT-X-DEFINE" in tags else NO_VARIABLES
    split = _end_of_header(tags)
    header = [
        line
        for line, tag in zip(lines[:split], tags[:split], strict=True)
        if line.startswith("#EXT") and tag not in _READ and tag not in _LEFT_OUT
    ]
    top = _TopLevel.read([line for line, tag in zip(lines, tags, strict=True) if tag in _READ])
    reader = _SegmentReader(top.media_sequence, top.discontinuity_sequence, variables)
    for number, (line, tag) in enumerate(zip(lines[split:], tags[split:], strict=True), split + 1):
        if tag in _KEPT:
            header.append(line)
        elif tag not in _READ and tag not in _LEFT_OUT:
            reader.line(line, tag, number)
    if len(header) > MAX_TAGS_TOGETHER:
        raise PlaylistError(f"more than {MAX_TAGS_TOGETHER:,} tags of the list itself")
    return MediaPlaylist(
        version=top.version,
        target_duration_s=top.target_duration_s,
        media_sequence=top.media_sequence,
        discontinuity_sequence=top.discontinuity_sequence,
        playlist_type=top.playlist_type,
        ended="#EXT-X-ENDLIST" in tags,
        independent_segments="#EXT-X-INDEPENDENT-SEGMENTS" in tags,
        segments=tuple(reader.segments),
        header=tuple(header),
        trailer=tuple(line for line in reader.pending if not line.startswith(_ONLY_WITH_A_URI)),
    )


def playlist_lines(text: str) -> list[str]:
    """Return the lines of a playlist of either kind, #EXTM3U first.

    Raises:
        PlaylistError: it does not begin so, has a line beyond the limit, or is no text.
    """
    # RFC 8216, 4.1: lines end with LF or CRLF only. str.splitlines would also cut at U+2028 within a title.
    if text.count("\n") > MAX_LINES:
        raise PlaylistError(f"more than {MAX_LINES:,} lines")
    lines = text.removeprefix("\ufeff").lstrip("\r\n\t ").replace("\r\n", "\n").split("\n")
    # RFC 8216, 4.3.1.1: EXTM3U must be the first line.
    if lines[0].rstrip() != "#EXTM3U":
        raise PlaylistError(f"not a playlist: it begins with {lines[0][:40]!r}, where #EXTM3U must stand")
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_LINE_CHARS:
            raise PlaylistError(f"line {number} has {len(line)} characters; at most {MAX_LINE_CHARS} are taken")
        if "\0" in line:
            raise PlaylistError(f"line {number} holds a NUL character: this is no text")
    # Blanks at the end of a line mean nothing, and would be a part of the URI.
    return [line.rstrip(" \t\r") for line in lines]


def _refuse_other_kinds(tags: list[str]) -> None:
    found = set(tags)
    if found & _MULTIVARIANT:
        raise PlaylistError(
            "a multivariant playlist, or tags of one, where a media playlist is wanted (RFC 8216, 4.3.4)"
        )
    if "#EXT-X-SKIP" in found:
        raise PlaylistError("a delta update (EXT-X-SKIP), which was not asked for: the origin must give whole lists")


def _end_of_header(tags: list[str]) -> int:
    """Return the index behind the last playlist-level tag that stands before everything of a segment.

    An unknown tag before that place is the playlist's, one behind it belongs to the segment that follows: that is
    all that tells them apart.
    """
    end = 1
    for index, tag in enumerate(tags):
        if tag in SEGMENT_TAGS or (tag and not tag.startswith("#")):
            break
        if tag in _READ or tag in _KEPT or tag in _LEFT_OUT:
            end = index + 1
    return end


@dataclass(frozen=True, slots=True)
class _TopLevel:
    """What the playlist-level tags say, read by m3u8 after and before checks of ours."""

    version: int
    target_duration_s: int
    media_sequence: int
    discontinuity_sequence: int
    playlist_type: PlaylistType | None

    @classmethod
    def read(cls, lines: list[str]) -> _TopLevel:
        data = m3u8_parser.parse("\n".join(map(_checked_number, lines)))
        target_s = data.get("targetduration")
        if target_s is None:
            raise PlaylistError("no EXT-X-TARGETDURATION, which every media playlist must have (RFC 8216, 4.3.3.1)")
        if not 0 <= target_s <= MAX_DURATION_S:
            raise PlaylistError(f"EXT-X-TARGETDURATION:{target_s}: 1 to {MAX_DURATION_S:.0f} s are taken")
        kind = str(data.get("playlist_type") or "").upper()
        return cls(
            version=data.get("version", 1),
            # FFmpeg writes 0 for segments of less than half a second.
            target_duration_s=max(1, target_s),
            media_sequence=data.get("media_sequence", 0),
            discontinuity_sequence=data.get("discontinuity_sequence", 0),
            playlist_type=cast(PlaylistType, kind) if kind in ("EVENT", "VOD") else None,
        )


def _checked_number(line: str) -> str:
    tag, _, value = line.partition(":")
    value = value.strip()
    if tag == "#EXT-X-TARGETDURATION" and re.fullmatch(r"[0-9]{1,9}\.[0-9]*", value):
        return f"{tag}:{math.ceil(float(value))}"
    if tag in ("#EXTM3U", "#EXT-X-PLAYLIST-TYPE", "#EXT-X-ENDLIST", "#EXT-X-INDEPENDENT-SEGMENTS"):
        return line
    if not _DECIMAL.fullmatch(value):
        raise PlaylistError(f"{line[:60]!r}: a decimal integer must stand behind {tag}")
    return line


class _SegmentReader:
    """Take the lines behind the header one by one, and keep what is in force."""

    def __init__(self, media_sequence: int, discontinuity_sequence: int, variables: Variables) -> None:
        self.segments: list[PlaylistSegment] = []
        self.pending: list[str] = []
        self._msn = media_sequence
        self._discontinuities = discontinuity_sequence
        self._variables = variables
        self._expanded_chars = 0
        self._keys: dict[str, str] = {}
        # One tuple for all segments under the same keys.
        self._key_lines: tuple[str, ...] = ()
        self._map_line: str | None = None
        self._range_ends: tuple[str, int] = ("", 0)
        self._fresh()

    def _fresh(self) -> None:
        self.pending = []
        self._duration_s: float | None = None
        self._extinf_at: int | None = None
        self._pdt: float | None = None
        self._discontinuity = False
        self._gap = False
        self._range: tuple[int, int | None] | None = None

    def line(self, line: str, tag: str, number: int) -> None:
        if not line or (tag.startswith("#") and not tag.startswith("#EXT")):
            # Blank, or a comment (RFC 8216, 4.1). Tags of vendors begin with #EXT too; those that do not are comments.
            return
        if not tag.startswith("#"):
            self._uri(line, number)
        elif tag == "#EXT-X-DISCONTINUITY":
            self._discontinuity = True
            self._discontinuities += 1
        elif tag == "#EXT-X-KEY":
            self._key(self._expanded(line, number), number)
        elif tag == "#EXT-X-MAP":
            self._map_line = self._expanded(line, number)
        else:
            self._own_tag(line, tag, number)

    def _own_tag(self, line: str, tag: str, number: int) -> None:
        if tag == "#EXTINF":
            self._duration_s = _duration(line, number)
            if self._extinf_at is not None:
                # A second EXTINF means that the URI of the first was lost.
                self.pending[self._extinf_at] = line
                return
            self._extinf_at = len(self.pending)
        elif tag == "#EXT-X-PROGRAM-DATE-TIME":
            try:
                self._pdt = parse_date(line.partition(":")[2])
            except PlaylistError:
                self._pdt = None
        elif tag == "#EXT-X-GAP":
            self._gap = True
        elif tag == "#EXT-X-BYTERANGE":
            self._range = _byte_range(line.partition(":")[2], number)
        elif tag == "#EXT-X-DATERANGE":
            line = self._expanded(line, number)
        if len(self.pending) == MAX_TAGS_TOGETHER:
            raise PlaylistError(f"line {number}: more than {MAX_TAGS_TOGETHER:,} tags of one segment")
        self.pending.append(line)

    def _expanded(self, line: str, number: int) -> str:
        if "{$" not in line:
            return line
        try:
            line = substitute(line, self._variables)
        except PlaylistError as error:
            raise PlaylistError(f"line {number}: {error}") from None
        self._expanded_chars += len(line)
        if self._expanded_chars > MAX_EXPANDED_CHARS:
            raise PlaylistError(f"line {number}: variables make the playlist too large")
        return line

    def _key(self, line: str, number: int) -> None:
        attributes = attribute_list(line.partition(":")[2])
        if attributes.get("METHOD") == "NONE":
            self._keys.clear()
        else:
            # RFC 8216, 4.3.2.4: in force until the next one with the same KEYFORMAT, which defaults to "identity".
            self._keys[attributes.get("KEYFORMAT", "identity")] = line
            if len(self._keys) > MAX_KEYS_IN_FORCE:
                raise PlaylistError(f"line {number}: more than {MAX_KEYS_IN_FORCE} key formats at once")
        self._key_lines = tuple(self._keys.values())

    def _uri(self, line: str, number: int) -> None:
        if self._duration_s is None:
            raise PlaylistError(f"line {number}: {line[:60]!r} stands without EXTINF (RFC 8216, 4.3.2.1)")
        uri = self._expanded(line, number)
        if len(self.segments) == MAX_SEGMENTS:
            raise PlaylistError(f"more than {MAX_SEGMENTS:,} segments")
        self.segments.append(
            PlaylistSegment(
                uri=uri,
                duration_s=self._duration_s,
                msn=self._msn,
                discontinuity=self._discontinuity,
                discontinuity_sequence=self._discontinuities,
                pdt=self._pdt,
                lines=(*self.pending, line),
                keys=self._key_lines,
                map_line=self._map_line,
                gap=self._gap,
                byte_range=None if self._range is None else self._resolved_range(self._range, uri, number),
            )
        )
        self._msn += 1
        self._fresh()

    def _resolved_range(self, written: tuple[int, int | None], uri: str, number: int) -> tuple[int, int]:
        length, offset = written
        if offset is None:
            if not self.segments and self._msn > 0:
                # 4.3.2.2: it would begin where a segment ended that has left the list.
                raise PlaylistError(f"line {number}: the first byte range of a list needs its offset (n@o)")
            # 4.3.2.2: it begins where the previous range of the same resource ended. Without one that is an error;
            # what is meant is the resource's beginning.
            offset = self._range_ends[1] if self._range_ends[0] == uri else 0
        self._range_ends = (uri, offset + length)
        return offset, length


def _duration(line: str, number: int) -> float:
    match = _EXTINF.fullmatch(line)
    duration_s = float(match[1]) if match else math.nan
    if not duration_s <= MAX_DURATION_S:
        raise PlaylistError(f"line {number}: {line[:60]!r}: 0 to {MAX_DURATION_S:.0f} s must stand behind EXTINF")
    return duration_s


def _byte_range(value: str, number: int) -> tuple[int, int | None]:
    match = _BYTERANGE.fullmatch(value.strip())
    if not match:
        raise PlaylistError(f"line {number}: EXT-X-BYTERANGE:{value[:40]} is no byte range (RFC 8216, 4.3.2.2)")
    return int(match[1]), int(match[2]) if match[2] else None
