"""A simulated evening for the splice: origins, feeds as far as it matters, and nodes that write playlists from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urljoin

from kernel.blackouts import Window, ZoneSet
from kernel.dates import format_date
from kernel.marks import ReleaseMark
from kernel.multivariant import parse_multivariant
from kernel.playlist import parse_media_playlist
from kernel.pts import TICKS_PER_S, Ticks
from kernel.showings import Showing
from kernel.timeline import SegmentTiming
from relay.cut_ledger import CutLedger
from relay.cuts import Cuts, Record
from relay.presentation import Presentation
from relay.spliced import Splicer
from tests.support.reading import read_playlist
from tests.support.validator import check_media, check_succession

EPOCH = 1_774_639_800.0
"""2026-03-27T19:30:00Z: the evening of the example."""

BASE = "http://{}.test/live/"
TOP = """#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="en",DEFAULT=YES,URI="audio.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=3000000,CODECS="avc1.64001f,mp4a.40.2",AUDIO="a"
video.m3u8
"""


@dataclass
class Made:
    """A segment as the origin made it."""

    name: str
    duration_s: float
    at: float
    discontinuities: int
    timeline: int
    state: tuple[str, ...]


@dataclass
class Origin:
    """One stream's encoder and packager; `audio_s` is how long the segments of its audio are, None: it has none."""

    stream: str
    target_s: int
    size: int
    audio_s: float | None = None
    began: float = 0.0
    made: list[Made] = field(default_factory=list)
    audio: list[Made] = field(default_factory=list)
    timeline: int = 0
    marked: bool = False
    state: tuple[str, ...] = ()
    end: float = 0.0
    audio_end: float = 0.0

    def make(self, duration_s: float) -> SegmentTiming:
        """Make a segment, and return what feeds measures of it."""
        msn = len(self.made)
        self.timeline += self.marked
        self.made.append(Made(f"{msn}.ts", duration_s, self.end, int(self.marked), self.timeline, self.state))
        start = Ticks(round(self.end * TICKS_PER_S))
        wall = EPOCH + self.began + self.end
        self.end += duration_s
        while self.audio_s is not None and self.audio_end + self.audio_s <= self.end + 0.02:
            n, at = len(self.audio), self.audio_end
            inside = next(one for one in self.made if one.at <= at + self.audio_s / 2 < one.at + one.duration_s)
            fresh = inside.timeline - self.audio[-1].timeline if self.audio else 0
            self.audio.append(Made(f"{n}.aac", self.audio_s, at, fresh, inside.timeline, ()))
            self.audio_end += self.audio_s
        self.marked = False
        end = Ticks(round(self.end * TICKS_PER_S))
        ref = BASE.format(self.stream) + self.made[-1].name
        return SegmentTiming(self.stream, 0, msn, None, ref, self.timeline, start, end, wall, 0.0, "pdt")

    def text(self, segments: list[Made]) -> str:
        """Return a live list of its newest segments: of five target durations at least, as RFC 8216, 6.2.2 wants more
        than three.
        """
        count, length_s = 0, 0.0
        while count < len(segments) and (count < self.size or length_s < 5 * self.target_s):
            count += 1
            length_s += segments[-count].duration_s
        shown = segments[len(segments) - count :]
        first = len(segments) - len(shown)
        lines = [
            "#EXTM3U", "#EXT-X-VERSION:6", f"#EXT-X-TARGETDURATION:{self.target_s}",
            f"#EXT-X-MEDIA-SEQUENCE:{first}",
            f"#EXT-X-DISCONTINUITY-SEQUENCE:{sum(one.discontinuities for one in segments[:first])}",
        ]  # fmt: skip
        state: tuple[str, ...] = ()
        for one in shown:
            lines += ["#EXT-X-DISCONTINUITY"] * one.discontinuities
            if one.state != state:
                lines += one.state or ("#EXT-X-KEY:METHOD=NONE",)
                state = one.state
            date = f"#EXT-X-PROGRAM-DATE-TIME:{iso(EPOCH + self.began + one.at)}"
            lines += [date, f"#EXTINF:{one.duration_s:.3f},", one.name]
        return "\n".join(lines) + "\n"


def iso(at: float) -> str:
    """Return a date in milliseconds."""
    return format_date(at)


class Node:
    """One process with a relay in it: it follows the origins, and writes what viewers see."""

    def __init__(self, origins: list[Origin], windows: dict[str, Window]) -> None:
        self._origins = {origin.stream: origin for origin in origins}
        self.presentations = {}
        for origin in origins:
            showing = Showing(origin.stream, BASE.format(origin.stream) + "x.m3u8")
            self.presentations[origin.stream] = presentation = Presentation(showing)
            if origin.audio_s is not None:
                presentation.observe_top(parse_multivariant(TOP), partial(urljoin, BASE.format(origin.stream)))
        self.stream = origins[0].stream
        self.splicer = Splicer(self.stream, self.presentations.get)
        self.ledger = CutLedger(self.splicer.cuts)
        self.windows = windows
        self.texts: dict[tuple[str | None, ZoneSet], str] = {}

    def hear(self, records: list[Record]) -> None:
        """Take in what is kept of cuts."""
        assert self.ledger.confirm(records) is None

    def believe(self, windows: dict[str, Window], streams: frozenset[str]) -> None:
        """Take in what blackouts there are."""
        self.ledger.found(self.splicer.cutter.on_windows(windows, streams))

    def observe(self, stream: str, *, now: float) -> None:
        """Read the origin's lists."""
        origin, presentation = self._origins[stream], self.presentations[stream]

        def resolve(uri: str) -> str:
            return BASE.format(stream) + uri

        copy = parse_media_playlist(origin.text(origin.made))
        refs = [resolve(segment.uri) for segment in copy.segments]
        presentation.window.observe(copy, refs, resolve, now=now)
        if origin.audio:
            copy = parse_media_playlist(origin.text(origin.audio))
            refs = [resolve(segment.uri) for segment in copy.segments]
            presentation.observe("a0", copy, refs, resolve, now=now)

    def on_timing(self, timing: SegmentTiming) -> None:
        """Take in what feeds says of a segment."""
        self.presentations[timing.stream].window.on_timing(timing)
        if timing.stream == self.stream:
            self.ledger.found(self.splicer.cutter.on_timing(timing))

    def on_mark(self, mark: ReleaseMark) -> None:
        """Take in when a segment may go out."""
        self.presentations[mark.stream].window.on_mark(mark)
        self.splicer.cutter.on_mark(mark.stream, mark)

    def turn(self, *, now: float) -> None:
        """Open what is due."""
        for presentation in self.presentations.values():
            presentation.window.handle_timer(now=now)
            presentation.open_companions()
        last = self.presentations[self.stream].window.listing.last
        self.ledger.found(self.splicer.after_opening(last.key if last else None, now=now))


class Judge:
    """Look at every variant after every step, as the validator and two nodes' viewers do."""

    def __init__(self) -> None:
        self.former: dict[tuple[str | None, ZoneSet], str] = {}

    def look(self, node: Node, rendition: str | None, zones: ZoneSet) -> str | None:
        """Return a variant, judged by itself and as a later copy of what it was before."""
        text = node.splicer.text(rendition, zones)
        before = self.former.get((rendition, zones))
        if text is None:
            # A node that began behind the end of what is blocked has nothing to show of it.
            assert before is None or any(veil.redirect is None for veil in zones), before
            return None
        assert check_media(text) == [], text
        # Behind a block, which is over before some have seen it, the list begins anew.
        if before is not None and before != text and all(veil.redirect is not None for veil in zones):
            assert check_succession(before, text) == [], f"{before}\n---\n{text}"
        self.former[rendition, zones] = text
        return text


def walls(text: str, origin: Origin, rendition: str | None) -> list[tuple[float, float]]:
    """Return when the pictures were that a list of segments of an origin shows."""
    out = []
    for segment in read_playlist(text).segments:
        name = segment.uri.rpartition("/")[2]
        if name.count("-") == 1:
            made = (origin.audio if rendition == "a0" else origin.made)[int(name.split("-")[1].partition(".")[0])]
            begin = EPOCH + origin.began + made.at
            out.append((begin, begin + made.duration_s))
    return out


class Evening:
    """Streams that run in step with the clock, and the nodes that show them; the first origin is the showing's."""

    def __init__(self, origins: list[Origin], *, durations: dict[str, list[float]], lead_s: float = 0.0) -> None:
        self.origins = origins
        self.durations = durations
        self.lead_s = lead_s
        self.now = 0.0
        self.windows: dict[str, Window] = {}
        self.streams = frozenset(origin.stream for origin in origins[1:])
        self.timings: list[SegmentTiming] = []
        self.marks: list[ReleaseMark] = []
        self.kept = Cuts()
        self.records: list[Record] = []
        self.nodes = [self._node(), self._node()]

    def _node(self) -> Node:
        return Node(self.origins, self.windows)

    def believe(self, windows: dict[str, Window]) -> None:
        """Change what blackouts there are."""
        self.windows = windows
        for node in self.nodes:
            node.believe(windows, self.streams)
        self._settle()

    def restart(self, index: int) -> None:
        """End a node, and begin another one with what is retained."""
        node = self._node()
        self.nodes[index] = node
        node.hear(self.records)
        node.believe(self.windows, self.streams)
        for origin in self.origins:
            node.observe(origin.stream, now=self.now)
        for timing in self.timings:
            node.on_timing(timing)
        for stream in (origin.stream for origin in self.origins):
            for mark in [mark for mark in self.marks if mark.stream == stream][-256:]:
                node.on_mark(mark)
        self._settle()

    def stand_still(self, steps: int) -> None:
        """Let the origins go on while no node runs; `restart` begins them again."""
        nodes, self.nodes = self.nodes, []
        for _ in range(steps):
            self.step()
        self.nodes = nodes

    def step(self) -> None:
        """Make the next segment of whichever stream is due, and let everybody see it."""
        origin = min(self.origins, key=lambda one: (one.began + one.end + self._next_s(one), one.stream))
        duration_s = self._next_s(origin)
        self.now = max(self.now, origin.began + origin.end + duration_s)
        timing = origin.make(duration_s)
        self.timings.append(timing)
        mark = ReleaseMark(origin.stream, *timing.key, None, timing.upto, self.now + self.lead_s)
        self.marks.append(mark)
        for node in self.nodes:
            node.observe(origin.stream, now=self.now)
            node.on_timing(timing)
        self._settle()
        for node in self.nodes:
            node.on_mark(mark)
        self._settle()
        self.now += self.lead_s
        self._settle()

    def _next_s(self, origin: Origin) -> float:
        durations = self.durations[origin.stream]
        return durations[len(origin.made) % len(durations)]

    def _settle(self) -> None:
        for _ in range(2):
            for node in self.nodes:
                node.turn(now=self.now)
            self._keep()

    def _keep(self) -> None:
        """Keep what the nodes have found, in the order in which they say it, and tell both."""
        said = [record for node in self.nodes for record in node.ledger.due(now=self.now)]
        fresh = [record for record in said if self.kept.add(record)]
        self.records += fresh
        for node in self.nodes:
            node.hear(fresh)
