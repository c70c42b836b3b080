"""Take a playlist apart for the validator, and keep what is found wrong on the way.

It shares no code with what it judges.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime

RULES = {
    "no-bom": "RFC 8216, 4.1: MUST NOT begin with a byte order mark",
    "no-control-characters": "RFC 8216, 4.1: MUST NOT contain control characters but CR and LF",
    "first-line": "RFC 8216, 4.3.1.1: EXTM3U MUST be the first line",
    "line-end": "RFC 8216, 4.1: lines are terminated by LF or CRLF",
    "one-kind": "RFC 8216, 4.1: a playlist is a media or a multivariant one, all else is invalid",
    "once": "RFC 8216, 4.3.1.2 and 4.3.3: MUST NOT contain more than one such tag",
    "number": "RFC 8216, 4.2: a decimal integer of 1 to 20 digits",
    "version": "RFC 8216, 7 (bis, 8): the version MUST be as high as the features need",
    "target-duration": "RFC 8216, 4.3.3.1: REQUIRED",
    "extinf-target": "RFC 8216, 4.3.3.1: EXTINF, rounded to the nearest integer, at most the target duration",
    "extinf-syntax": "RFC 8216, 4.3.2.1: a decimal number, then a comma",
    "extinf-uri": "RFC 8216, 4.3.2.1: REQUIRED for each segment; applies to one segment only",
    "media-sequence-place": "RFC 8216, 4.3.3.2: MUST appear before the first segment",
    "discontinuity-sequence-place": "RFC 8216, 4.3.3.3: MUST appear before any segment and any discontinuity",
    "attributes": "RFC 8216, 4.2: AttributeName=AttributeValue, each name once",
    "key": "RFC 8216, 4.3.2.4: METHOD, URI unless NONE, IV of 128 bits, nothing beside NONE",
    "map": "RFC 8216, 4.3.2.5: URI and, if any, a range n[@o]",
    "date": "RFC 8216, 4.3.2.6: ISO/IEC 8601",
    "daterange": "RFC 8216, 4.3.2.7: ID is REQUIRED, and the playlist MUST have a date",
    "byte-range": "RFC 8216, 4.3.2.2: n[@o], without o behind a range of the same resource only",
    "playlist-type": "RFC 8216, 4.3.3.5: EVENT or VOD; VOD cannot change, so it has its end",
    "variables": "RFC 8216bis, 4.3: a reference needs a definition before it",
    "own-names": "ours: URIs are relative and of our own shape, each segment under a name of its own",
    "foreign-uri": "ours: no absolute URI of the origin's, none without the path's token",
    "low-latency": "ours: parts, hints, reports and skips are left out",
    "ended-frozen": "RFC 8216, 4.3.3.4: no more segments behind ENDLIST, which never goes",
    "header-changed": "RFC 8216, 6.2.1: only appending, removing, counting up and ENDLIST may change a playlist",
    "target-duration-changed": "RFC 8216, 6.2.1: the target duration MUST NOT change",
    "order": "RFC 8216, 6.2.1 and 6.2.2: segments are appended at the end and removed at the start only",
    "media-sequence": "RFC 8216, 6.2.2: incremented by 1 for each segment that is removed; never decreases",
    "discontinuity-sequence": "RFC 8216, 6.2.2: incremented by 1 for each discontinuity that is removed",
    "segment-changed": "RFC 8216, 6.2.1: a segment's lines do not change",
    "removed-from-event": "RFC 8216, 4.3.3.5: nothing is removed from EVENT and VOD",
    "window": "RFC 8216, 6.2.2: no removal that leaves less than three target durations",
    "stream-inf": "RFC 8216, 4.3.4.2: BANDWIDTH, then a URI line",
    "media": "RFC 8216, 4.3.4.1: TYPE, GROUP-ID, NAME; a URI for subtitles, none but INSTREAM-ID for captions",
    "group": "RFC 8216, 4.3.4.1.1 and 4.3.4.2: groups exist, names in them differ, at most one DEFAULT",
    "i-frame": "RFC 8216, 4.3.4.3: BANDWIDTH and URI",
    "session": "RFC 8216, 4.3.4.4 and 4.3.4.5: DATA-ID with VALUE or URI; METHOD other than NONE with URI",
    "rendition-ahead": "ours: nothing of a rendition ends more than 50 ms behind the lead's end",
    "rendition-ended": "ours: a rendition has its end when the lead has",
    "rendition-discontinuity": "RFC 8216, 6.2.4: matching content has matching discontinuity sequence numbers",
}

_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?(\d\d)?)?", re.ASCII)
_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"\r\n]*"|[^",\s]+)(?:,|$)')
_HEADER = ("#EXTM3U", "#EXT-X-VERSION", "#EXT-X-PLAYLIST-TYPE", "#EXT-X-START", "#EXT-X-I-FRAMES-ONLY", "#EXT-X-DEFINE")
_OF_A_SEGMENT = ("#EXTINF", "#EXT-X-BYTERANGE", "#EXT-X-PROGRAM-DATE-TIME", "#EXT-X-GAP", "#EXT-X-BITRATE",
                 "#EXT-X-DATERANGE")  # fmt: skip
LISTS = ("KEY", "MAP", "DATERANGE", "START", "STREAM-INF", "MEDIA", "I-FRAME-STREAM-INF", "SESSION-DATA",
          "SESSION-KEY", "DEFINE", "CONTENT-STEERING")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that is broken, and where: `line` counts from 1; 0 concerns the whole."""

    rule: str
    line: int
    detail: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.detail} [{self.rule}: {RULES[self.rule]}]"


@dataclass(slots=True)
class Tag:
    line: int
    name: str
    value: str
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Segment:
    """A segment as a player sees it: `lines` are its own, `state` the keys and the map in force.

    Unknown tags at the top of the list, which may be the list's as well as its first segment's, are in neither.
    """

    line: int
    uri: str
    lines: tuple[str, ...]
    state: tuple[str, ...]
    duration_s: float
    msn: int
    discontinuity: bool
    discontinuity_sequence: int
    date: float | None


@dataclass(slots=True)
class Playlist:
    """A playlist taken apart, and what was found wrong on the way."""

    found: list[Violation] = field(default_factory=list)
    tags: list[Tag] = field(default_factory=list)
    uris: list[tuple[int, str]] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    header: tuple[str, ...] = ()

    def wrong(self, rule: str, line: int, detail: str) -> None:
        self.found.append(Violation(rule, line, detail))

    def all(self, *names: str) -> list[Tag]:
        return [tag for tag in self.tags if tag.name in names]

    def value(self, name: str, default: str = "") -> str:
        return next((tag.value for tag in self.tags if tag.name == name), default)

    def number(self, name: str, default: int = 0) -> int:
        value = self.value(name)
        return int(value) if value.isdecimal() and value.isascii() else default

    @property
    def ended(self) -> bool:
        return bool(self.all("ENDLIST"))

    @property
    def duration_s(self) -> float:
        return sum(segment.duration_s for segment in self.segments)


def read_playlist(text: str) -> Playlist:
    """Take a playlist of either kind apart."""
    playlist = Playlist()
    if text.startswith("\ufeff"):
        playlist.wrong("no-bom", 1, "it does")
    if not text.endswith("\n"):
        playlist.wrong("line-end", 0, "the last line has none")
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").removesuffix("\n").split("\n")
    if lines[0] != "#EXTM3U":
        playlist.wrong("first-line", 1, lines[0][:40])
    for number, line in enumerate(lines, 1):
        # 4.1 names U+0000 to U+001F but CR and LF, and U+007F to U+009F.
        if re.search(r"[\x00-\x1f\x7f-\x9f]", line):
            playlist.wrong("no-control-characters", number, repr(line[:40]))
        if line.startswith("#EXT"):
            name, _, value = line.removeprefix("#").removeprefix("EXT-X-").partition(":")
            tag = Tag(number, name, value)
            if name in LISTS:
                tag.attributes = _attributes(playlist, tag)
            playlist.tags.append(tag)
        elif line and not line.startswith("#"):
            playlist.uris.append((number, line))
    _lay_out(playlist, lines)
    return playlist


def _attributes(playlist: Playlist, tag: Tag) -> dict[str, str]:
    attributes: dict[str, str] = {}
    at = 0
    while at < len(tag.value):
        match = _ATTRIBUTE.match(tag.value, at)
        if not match or match[1] in attributes:
            playlist.wrong("attributes", tag.line, f"{tag.name}: {tag.value[at : at + 60]}")
            break
        attributes[match[1]] = match[2]
        at = match.end()
    return attributes


def _lay_out(playlist: Playlist, lines: list[str]) -> None:
    """Lay the segments out with the state in force; what stands before the first of their tags is the header."""
    msn, sequence = playlist.number("MEDIA-SEQUENCE"), playlist.number("DISCONTINUITY-SEQUENCE")
    keys: dict[str, str] = {}
    map_line = ""
    own: list[str] = []
    header: list[str] = []
    discontinuity, date = False, None
    for number, line in enumerate(lines, 1):
        tag = line.partition(":")[0]
        if tag in ("#EXT-X-MEDIA-SEQUENCE", "#EXT-X-DISCONTINUITY-SEQUENCE", "#EXT-X-ENDLIST", "#EXT-X-TARGETDURATION"):
            continue
        if tag == "#EXT-X-DISCONTINUITY":
            discontinuity, sequence = True, sequence + 1
        elif tag == "#EXT-X-KEY":
            match = re.search(r'KEYFORMAT="([^"]*)"', line)
            keys = {} if "METHOD=NONE" in line else {**keys, match[1] if match else "identity": line}
        elif tag == "#EXT-X-MAP":
            map_line = line
        elif line.startswith("#EXT"):
            own.append(line)
            if tag == "#EXT-X-PROGRAM-DATE-TIME":
                date = read_date(line.partition(":")[2])
            if tag == "#EXT-X-INDEPENDENT-SEGMENTS" or (not playlist.segments and tag in _HEADER):
                header.append(own.pop())
        elif line and not line.startswith("#"):
            match = re.search(r"(?:^|\n)#EXTINF:(\d+(?:\.\d*)?)", "\n".join(own))
            duration_s = float(match[1]) if match else 0.0
            if not playlist.segments:
                while own and own[0].partition(":")[0] not in _OF_A_SEGMENT:
                    del own[0]
            state = (*keys.values(), map_line)
            playlist.segments.append(
                Segment(number, line, (*own, line), state, duration_s, msn, discontinuity, sequence, date)
            )
            own, discontinuity, date, msn = [], False, None, msn + 1
    playlist.header = tuple(header)


def read_date(value: str) -> float | None:
    """Return a date in Unix seconds, None if it is none."""
    if not _DATE.fullmatch(value):
        return None
    zoned = value if value[-1] == "Z" or re.search(r"[+-]\d\d:?(\d\d)?$", value[10:]) else value + "Z"
    try:
        return datetime.fromisoformat(re.sub(r":60(?=\D)", ":59", zoned)).timestamp() + (":60" in value[16:19])
    except ValueError:
        return None


def dated_segments(playlist: Playlist) -> list[tuple[float, Segment]]:
    """Return each segment with its date, its own or carried on over EXTINF (4.3.2.6); none if the first has none."""
    out: list[tuple[float, Segment]] = []
    for segment in playlist.segments:
        if segment.date is not None:
            out.append((segment.date, segment))
        elif out and not segment.discontinuity:
            out.append((out[-1][0] + out[-1][1].duration_s, segment))
        else:
            return []
    return out
