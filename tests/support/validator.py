"""Judge playlists that the relay wrote, by RFC 8216 (and its successor, "bis") and by what we promise beyond it.

It shares no code with what it judges. Each rule has a name and a clause (`tests/support/reading.py`); what is found is
returned, never raised.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.support.reading import LISTS, Playlist, Segment, Tag, Violation, dated_segments, read_date, read_playlist

_SEGMENT = re.compile(r"(?:[a-z0-9]{1,16}/)?(?:[0-9a-f]{8}-)?\d{1,10}-\d{1,20}\.[a-z0-9]{1,5}")
_ASSET = re.compile(r"(?:[a-z0-9]{1,16}/)?(?:key|init|list|data)-[0-9a-f]{16}\.[a-z0-9]{1,5}")
_RENDITION = re.compile(r"[a-z]{1,8}\d{0,4}/index\.m3u8")
_EXTINF = re.compile(r"\d{1,20}(\.\d*)?,.*")
_RANGE = re.compile(r"(\d{1,20})(?:@(\d{1,20}))?")
_METHODS = ("NONE", "AES-128", "SAMPLE-AES", "SAMPLE-AES-CTR")
_NUMBERS = ("VERSION", "TARGETDURATION", "MEDIA-SEQUENCE", "DISCONTINUITY-SEQUENCE")
_ONCE = (*_NUMBERS, "PLAYLIST-TYPE", "ENDLIST", "I-FRAMES-ONLY", "INDEPENDENT-SEGMENTS", "START")
_LOW_LATENCY = ("PART", "PART-INF", "PRELOAD-HINT", "RENDITION-REPORT", "SKIP", "SERVER-CONTROL")
_OF_MEDIA = ("TARGETDURATION", "MEDIA-SEQUENCE", "DISCONTINUITY-SEQUENCE", "ENDLIST", "PLAYLIST-TYPE", "KEY", "MAP",
             "I-FRAMES-ONLY", "BYTERANGE", "DISCONTINUITY", "PROGRAM-DATE-TIME", "DATERANGE", "GAP")  # fmt: skip
_OF_MULTIVARIANT = ("STREAM-INF", "MEDIA", "I-FRAME-STREAM-INF", "SESSION-DATA", "SESSION-KEY")
_TEXTS = ("ID", "CLASS", "NAME", "GROUP-ID", "DATA-ID", "VALUE", "KEYFORMAT", "KEYFORMATVERSIONS", "CHARACTERISTICS")
_SLACK_S = 0.05


def check_media(text: str) -> list[Violation]:
    """Return what is wrong with a media playlist of the relay's."""
    playlist = read_playlist(text)
    _check_tags(playlist, _OF_MULTIVARIANT)
    if not playlist.all("TARGETDURATION"):
        playlist.wrong("target-duration", 0, "there is none")
    _check_places(playlist)
    _check_segments(playlist)
    for tag in playlist.all("KEY"):
        _check_key(playlist, tag)
    for tag in playlist.all("MAP"):
        if not tag.attributes.get("URI", "").startswith('"'):
            playlist.wrong("map", tag.line, "no URI")
        if not _RANGE.fullmatch(tag.attributes.get("BYTERANGE", '"1"').strip('"')):
            playlist.wrong("map", tag.line, f"no range: {tag.value}")
    for tag in playlist.all("DATERANGE"):
        if "ID" not in tag.attributes:
            playlist.wrong("daterange", tag.line, "no ID")
        if not playlist.all("PROGRAM-DATE-TIME"):
            playlist.wrong("daterange", tag.line, "no date in the list")
    kind = playlist.value("PLAYLIST-TYPE", "EVENT")
    if kind not in ("EVENT", "VOD") or (kind == "VOD" and not playlist.ended):
        playlist.wrong("playlist-type", 0, f"{kind}, and {'its end' if playlist.ended else 'no end'}")
    _check_version(playlist, _needed_by_media(playlist))
    return playlist.found


def check_multivariant(text: str) -> list[Violation]:
    """Return what is wrong with a multivariant playlist of the relay's."""
    playlist = read_playlist(text)
    _check_tags(playlist, _OF_MEDIA)
    uri_lines = dict(playlist.uris)
    for tag in playlist.all("STREAM-INF"):
        if "BANDWIDTH" not in tag.attributes or tag.line + 1 not in uri_lines:
            playlist.wrong("stream-inf", tag.line, tag.value)
    behind = {tag.line + 1 for tag in playlist.all("STREAM-INF")}
    for line, uri in playlist.uris:
        if line not in behind:
            playlist.wrong("stream-inf", line, f"{uri} stands without one")
        if not _RENDITION.fullmatch(uri):
            playlist.wrong("own-names", line, uri)
    for tag in playlist.all("I-FRAME-STREAM-INF"):
        if not {"BANDWIDTH", "URI"} <= tag.attributes.keys():
            playlist.wrong("i-frame", tag.line, tag.value)
    for tag in playlist.all("SESSION-DATA"):
        if "DATA-ID" not in tag.attributes or ("VALUE" in tag.attributes) == ("URI" in tag.attributes):
            playlist.wrong("session", tag.line, tag.value)
    for tag in playlist.all("SESSION-KEY"):
        if tag.attributes.get("METHOD", "NONE") == "NONE" or "URI" not in tag.attributes:
            playlist.wrong("session", tag.line, tag.value)
    _check_groups(playlist)
    services = any(tag.attributes.get("INSTREAM-ID", "").startswith('"SERVICE') for tag in playlist.all("MEDIA"))
    _check_version(playlist, 8 if playlist.all("DEFINE") else 7 if services else 1)
    return playlist.found


def check_succession(before: str, after: str) -> list[Violation]:
    """Return what is wrong with `after` as a later copy of `before`; each by itself is for `check_media` to judge."""
    old, new = read_playlist(before), read_playlist(after)
    if old.ended:
        return [] if before == after else [Violation("ended-frozen", 0, "changed behind its ENDLIST")]
    out = Playlist()
    was_s, is_s = old.value("TARGETDURATION"), new.value("TARGETDURATION")
    if was_s != is_s:
        out.wrong("target-duration-changed", 0, f"{was_s} became {is_s}")
    if old.header != new.header:
        out.wrong("header-changed", 0, f"{old.header} became {new.header}")
    removed = new.number("MEDIA-SEQUENCE") - old.number("MEDIA-SEQUENCE")
    if removed < 0:
        out.wrong("media-sequence", 0, f"fell by {-removed}")
        return out.found
    _compare(out, old.segments[removed:], new.segments)
    if {segment.uri for segment in old.segments[:removed]} & {segment.uri for segment in new.segments}:
        out.wrong("order", 0, "what was removed is back, or the number rose without a removal")
    if removed:
        _check_removal(out, old, new, removed)
    return out.found


def _compare(out: Playlist, kept: list[Segment], listed: list[Segment]) -> None:
    if len(listed) < len(kept):
        out.wrong("order", 0, f"{len(kept) - len(listed)} segments were removed at the end")
    for was, now in zip(kept, listed, strict=False):
        # Unknown tags before the first segment may be its own or the list's: nothing tells them apart.
        lines = was.lines[-len(now.lines) :] if now is listed[0] else was.lines
        if was.uri != now.uri:
            out.wrong("order", now.line, f"{now.uri} stands where {was.uri} stood under number {was.msn}")
        elif was.discontinuity_sequence != now.discontinuity_sequence:
            numbers = f"{was.discontinuity_sequence} became {now.discontinuity_sequence}"
            out.wrong("discontinuity-sequence", now.line, f"of {now.uri}: {numbers}")
        elif (lines, was.discontinuity, was.state) != (now.lines, now.discontinuity, now.state):
            out.wrong("segment-changed", now.line, f"{was.lines} {was.state} became {now.lines} {now.state}")


def _check_removal(out: Playlist, old: Playlist, new: Playlist, removed: int) -> None:
    if removed >= len(old.segments) and old.segments:
        least = old.segments[-1].discontinuity_sequence
        if new.number("DISCONTINUITY-SEQUENCE") < least:
            out.wrong("discontinuity-sequence", 0, f"fell below {least}")
    if old.all("PLAYLIST-TYPE"):
        out.wrong("removed-from-event", 0, f"{removed} segments")
    if not new.ended and new.duration_s < 3 * new.number("TARGETDURATION"):
        out.wrong("window", 0, f"{new.duration_s:.3f} s were left after {removed} were removed")


def check_renditions(lead: str, other: str) -> list[Violation]:
    """Return what is wrong with a rendition's playlist, given the lead's at the same moment.

    Both are laid on one axis by their dates, else by the time since a discontinuity sequence number that both have.
    """
    first, second = read_playlist(lead), read_playlist(other)
    out = Playlist()
    if second.ended and not first.ended:
        out.wrong("rendition-ended", 0, "before the lead's")
    dated = dated_segments(first), dated_segments(second)
    if all(dated):
        axis, places = dated
    else:
        axis, places = _since_shared_discontinuity(first, second)
    if not axis or not places:
        return out.found
    end = max(start + segment.duration_s for start, segment in axis)
    for start, segment in places:
        if start + segment.duration_s > end + _SLACK_S:
            late_s = start + segment.duration_s - end
            out.wrong("rendition-ahead", segment.line, f"{segment.uri} ends {late_s:.3f} s behind the lead's end")
        middle = start + segment.duration_s / 2
        beside = [item for at, item in axis if at <= middle < at + item.duration_s]
        # Where a discontinuity cuts through, either number is right.
        numbers = {item.discontinuity_sequence for item in beside}
        if all(dated) and numbers and segment.discontinuity_sequence not in numbers:
            out.wrong(
                "rendition-discontinuity",
                segment.line,
                f"{segment.uri}: {segment.discontinuity_sequence}, lead {numbers}",
            )
    return out.found


def _check_tags(playlist: Playlist, of_the_other_kind: tuple[str, ...]) -> None:
    defined: set[str] = set()
    for name in _ONCE:
        for tag in playlist.all(name)[1:]:
            playlist.wrong("once", tag.line, name)
    for tag in playlist.tags:
        if tag.name in of_the_other_kind or (tag.name == "EXTINF" and "TARGETDURATION" in of_the_other_kind):
            playlist.wrong("one-kind", tag.line, tag.name)
        if tag.name in _LOW_LATENCY:
            playlist.wrong("low-latency", tag.line, tag.name)
        if tag.name in _NUMBERS and not re.fullmatch(r"[0-9]{1,20}", tag.value):
            playlist.wrong("number", tag.line, f"{tag.name}:{tag.value}")
        if tag.name in LISTS:
            _check_references(playlist, tag.line, tag.value, defined)
        if tag.name == "DEFINE":
            defined.add(tag.attributes.get("NAME", "").strip('"'))
        _check_addresses(playlist, tag)
    for line, uri in playlist.uris:
        _check_references(playlist, line, uri, defined)


def _check_references(playlist: Playlist, line: int, text: str, defined: set[str]) -> None:
    for name in re.findall(r"\{\$([A-Za-z0-9_-]+)\}", text):
        if name not in defined:
            playlist.wrong("variables", line, name)


def _check_addresses(playlist: Playlist, tag: Tag) -> None:
    known = tag.name in LISTS
    for name, value in re.findall(r'([A-Za-z0-9-]+)=("[^"]*"|[^",]*)', tag.value):
        uri = value.strip('" ')
        named = name.upper().endswith(("URI", "URL")) or name == "X-ASSET-LIST"
        if known and not named and name in _TEXTS:
            continue
        if uri.startswith("//") or ("://" in uri and not (named and uri.startswith("skd:"))):
            playlist.wrong("foreign-uri", tag.line, f"{tag.name}: {name}")
        elif named and known and not (_ASSET.fullmatch(uri) or re.match(r"(?:skd|data|urn):", uri)):
            ours = tag.name in ("MEDIA", "I-FRAME-STREAM-INF") and _RENDITION.fullmatch(uri)
            if not ours:
                playlist.wrong("own-names", tag.line, f"{tag.name}: {name}={value}")


def _check_places(playlist: Playlist) -> None:
    first = min((tag.line for tag in playlist.all("EXTINF")), default=1 << 30)
    first = min([first, *(line for line, _ in playlist.uris)])
    for tag in playlist.all("MEDIA-SEQUENCE"):
        if tag.line > first:
            playlist.wrong("media-sequence-place", tag.line, "behind a segment")
    first = min([first, *(tag.line for tag in playlist.all("DISCONTINUITY"))])
    for tag in playlist.all("DISCONTINUITY-SEQUENCE"):
        if tag.line > first:
            playlist.wrong("discontinuity-sequence-place", tag.line, "behind a segment or a discontinuity")


def _check_segments(playlist: Playlist) -> None:
    target_s = playlist.number("TARGETDURATION", 1 << 30)
    seen: set[str] = set()
    for segment in playlist.segments:
        infs = [line for line in segment.lines if line.startswith("#EXTINF")]
        if len(infs) != 1:
            playlist.wrong("extinf-uri", segment.line, f"{segment.uri} has {len(infs)}")
        for line in infs:
            if not _EXTINF.fullmatch(line.removeprefix("#EXTINF:")):
                playlist.wrong("extinf-syntax", segment.line, line)
        if int(segment.duration_s + 0.5) > target_s:
            playlist.wrong("extinf-target", segment.line, f"{segment.duration_s} s, target {target_s} s")
        if not _SEGMENT.fullmatch(segment.uri) or segment.uri in seen:
            playlist.wrong("own-names", segment.line, segment.uri)
        seen.add(segment.uri)
        for line in segment.lines:
            name, _, value = line.partition(":")
            if name == "#EXT-X-PROGRAM-DATE-TIME" and read_date(value) is None:
                playlist.wrong("date", segment.line, line)
            # Each name stands once, so no range can go on from another of the same resource.
            if name == "#EXT-X-BYTERANGE" and not re.fullmatch(r"\d{1,20}@\d{1,20}", value):
                playlist.wrong("byte-range", segment.line, line)
    last = playlist.segments[-1].line if playlist.segments else 0
    for tag in playlist.all("EXTINF"):
        if tag.line > last:
            playlist.wrong("extinf-uri", tag.line, "no URI behind it")


def _check_key(playlist: Playlist, tag: Tag) -> None:
    method = tag.attributes.get("METHOD")
    alone = method != "NONE" or len(tag.attributes) == 1
    named = method == "NONE" or tag.attributes.get("URI", "").startswith('"')
    if method not in _METHODS or not alone or not named:
        playlist.wrong("key", tag.line, tag.value)
    if not re.fullmatch(r"0[xX][0-9A-Fa-f]{1,32}", tag.attributes.get("IV", "0x0")):
        playlist.wrong("key", tag.line, f"IV={tag.attributes['IV']}")


def _check_groups(playlist: Playlist) -> None:
    names: set[tuple[str, str, str]] = set()
    groups: set[tuple[str, str]] = set()
    defaults: set[tuple[str, str]] = set()
    for tag in playlist.all("MEDIA"):
        kind, group, name = (tag.attributes.get(key, "") for key in ("TYPE", "GROUP-ID", "NAME"))
        captions = kind == "CLOSED-CAPTIONS"
        if not (kind and group and name) or (kind == "SUBTITLES" and "URI" not in tag.attributes):
            playlist.wrong("media", tag.line, tag.value)
        if captions != ("INSTREAM-ID" in tag.attributes) or (captions and "URI" in tag.attributes):
            playlist.wrong("media", tag.line, tag.value)
        default = tag.attributes.get("DEFAULT") == "YES"
        if (kind, group, name) in names or (default and (kind, group) in defaults):
            playlist.wrong("group", tag.line, tag.value)
        names.add((kind, group, name))
        groups.add((kind, group))
        if default:
            defaults.add((kind, group))
    for tag in playlist.all("STREAM-INF"):
        for kind in ("AUDIO", "VIDEO", "SUBTITLES", "CLOSED-CAPTIONS"):
            group = tag.attributes.get(kind, "NONE")
            if group != "NONE" and (kind, group) not in groups:
                playlist.wrong("group", tag.line, f"{kind}={group} is not there")


def _needed_by_media(playlist: Playlist) -> int:
    keys = [tag.attributes for tag in playlist.all("KEY")]
    i_frames = bool(playlist.all("I-FRAMES-ONLY"))
    needs = {
        2: any("IV" in key for key in keys),
        3: any("." in tag.value.partition(",")[0] for tag in playlist.all("EXTINF")),
        4: bool(playlist.all("BYTERANGE")) or i_frames,
        5: bool(playlist.all("MAP"))
        or any("KEYFORMAT" in key or "KEYFORMATVERSIONS" in key or key.get("METHOD") == "SAMPLE-AES" for key in keys),
        6: bool(playlist.all("MAP")) and not i_frames,
        8: bool(playlist.all("DEFINE")),
    }
    return max((version for version, needed in needs.items() if needed), default=1)


def _check_version(playlist: Playlist, needed: int) -> None:
    version = playlist.number("VERSION", 1)
    if version < needed:
        playlist.wrong("version", 0, f"{version}, where {needed} is needed")


Axis = list[tuple[float, Segment]]


def _since_shared_discontinuity(first: Playlist, second: Playlist) -> tuple[Axis, Axis]:
    starts = [
        {item.discontinuity_sequence: item.msn for item in reversed(playlist.segments) if item.discontinuity}
        for playlist in (first, second)
    ]
    shared = starts[0].keys() & starts[1].keys()
    if not shared:
        return [], []
    newest = max(shared)
    return _summed(first, starts[0][newest]), _summed(second, starts[1][newest])


def _summed(playlist: Playlist, from_msn: int) -> Axis:
    def walk() -> Iterator[tuple[float, Segment]]:
        at = 0.0
        for segment in playlist.segments:
            if segment.msn >= from_msn:
                yield at, segment
                at += segment.duration_s

    return list(walk())
