"""Whatever an origin does, what the relay writes stays a valid playlist, copy after copy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feeds.release import ReleaseSchedule
from kernel.follow import PlaylistFollower
from kernel.playlist import parse_media_playlist
from kernel.pts import TICKS_PER_S, Ticks
from kernel.timeline import SegmentTiming
from relay.window import Window
from tests.support.playlists import BASE
from tests.support.reading import Violation
from tests.support.validator import check_media, check_succession

AES = '#EXT-X-KEY:METHOD=AES-128,URI="k{}"'
DRM = '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://{}",KEYFORMAT="com.apple.streamingkeydelivery"'
NO_KEY = "#EXT-X-KEY:METHOD=NONE"


@dataclass
class Made:
    """A segment as the origin made it; `state` are KEY and MAP lines that stand before it."""

    msn: int
    uri: str
    duration_s: float
    timeline: int
    discontinuity: bool
    gap: bool
    lines: tuple[str, ...]
    state: tuple[str, ...]


@dataclass
class Origin:
    """An encoder and packager that does what it should, until it is told otherwise."""

    target_s: int
    size: int
    kind: str
    made: list[Made] = field(default_factory=list)
    dropped: int = 0
    life: int = 0
    timeline: int = 0
    next_msn: int = 0
    made_in_all: int = 0
    marked: bool = False
    gap: bool = False
    repeat: int = 0
    ended: bool = False
    state: tuple[str, ...] = ()

    def make(self, duration_s: float) -> None:
        """Make a segment, and drop what leaves the window."""
        uri = f"ad{self.repeat}.mp4" if self.repeat else f"{self.life}-{self.next_msn}.mp4"
        self.made_in_all += 1
        lines = (f"#EXT-X-COUNT:{self.made_in_all}", f"#EXTINF:{duration_s},")
        self.made.append(
            Made(self.next_msn, uri, duration_s, self.timeline, self.marked, self.gap, lines, self.state)
        )  # fmt: skip
        self.next_msn += 1
        self.marked, self.gap, self.repeat = False, False, 0
        if self.kind == "LIVE":
            while len(self.made) > self.size:
                # RFC 8216, 6.2.2: counted when it leaves.
                self.dropped += self.made.pop(0).discontinuity

    def begin_anew(self, *, rewind: bool) -> None:
        """Start another life, with numbers from zero or going on."""
        self.life += 1
        self.timeline += 1
        if rewind:
            # No tag ends a MAP (RFC 8216, 4.3.2.5), so what has one goes on with one.
            self.made, self.dropped, self.next_msn = [], 0, 0
        else:
            self.marked = True

    def text(self, *, without_first: int = 0, without_last: int = 0) -> str:
        """Return a copy of the playlist, whole or shrunken."""
        upto = max(1, len(self.made) - without_last)
        start = min(without_first, upto - 1)
        listed = self.made[start:upto]
        dropped = self.dropped + sum(item.discontinuity for item in self.made[:start])
        lines = [
            "#EXTM3U", "#EXT-X-VERSION:6", f"#EXT-X-TARGETDURATION:{self.target_s}",
            f"#EXT-X-MEDIA-SEQUENCE:{listed[0].msn}", f"#EXT-X-DISCONTINUITY-SEQUENCE:{dropped}",
        ]  # fmt: skip
        if self.kind != "LIVE":
            lines.append(f"#EXT-X-PLAYLIST-TYPE:{self.kind}")
        state: tuple[str, ...] = ()
        for item in listed:
            lines += ["#EXT-X-DISCONTINUITY"] if item.discontinuity else []
            if item.state != state:
                lines += [NO_KEY, *item.state]
                state = item.state
            lines += [*item.lines[:-1], *(["#EXT-X-GAP"] if item.gap else []), item.lines[-1], item.uri]
        if self.ended and not without_last:
            lines.append("#EXT-X-ENDLIST")
        return "\n".join(lines) + "\n"


class Stage:
    """The origin, feeds as far as it matters here, and the relay's window under the validator's eyes."""

    def __init__(self, origin: Origin, *, hold_s: float, max_hold_s: float) -> None:
        self.origin = origin
        self.now = 0.0
        self.feeds_runs = True
        self.window = Window("game", hold_s=hold_s, max_hold_s=max_hold_s)
        self.window.listing.prefix = "main/"
        self._feeds = PlaylistFollower()
        self._release = ReleaseSchedule("game", hold_s=hold_s)
        self._timelines: dict[str, int] = {}
        self._text: str | None = None
        self.former = ""

    def copy(self, text: str, *, to_feeds: bool = True, to_relay: bool = True) -> None:
        """Let both see a copy, feeds first, as it is in one process."""
        self._timelines |= {BASE + made.uri: made.timeline for made in self.origin.made}
        playlist = parse_media_playlist(text)
        refs = [BASE + segment.uri for segment in playlist.segments]
        found = self._feeds.observe(playlist, refs, self.now) if to_feeds and self.feeds_runs else []
        if to_relay:
            self.window.observe(playlist, refs, lambda uri: uri if "://" in uri else BASE + uri, now=self.now)
        for item in found:
            if not item.segment.gap:
                start = Ticks(item.key.msn * self.origin.target_s * TICKS_PER_S)
                end = Ticks(start + round(item.segment.duration_s * TICKS_PER_S))
                timing = SegmentTiming(
                    "game", *item.key, None, item.ref, self._timelines[item.ref], start, end, None, 0.0, None
                )  # fmt: skip
                self.window.on_timing(timing)
                mark = self._release.mark(timing, arrived=item.arrived, now=self.now)
                if mark is not None:
                    self.window.on_mark(mark)

    def look(self) -> Iterable[Violation]:
        """Open what is due, and judge the list as it stands and as it came to be."""
        self.window.handle_timer(now=self.now)
        text = self.window.text()
        if text is None:
            assert not self.former
            return
        yield from check_media(text)
        if self.former:
            for violation in check_succession(self.former, text):
                # What was never seen cannot be listed, and a list cannot span it: it begins anew behind the hole.
                if violation.rule not in ("window", "removed-from-event") or _names(self.former) & _names(text):
                    yield violation
        self.former = text


def _names(text: str) -> set[str]:
    return {line for line in text.split("\n") if line.startswith("main/")}


def play(stage: Stage, moves: list[tuple[str, int]]) -> None:
    """Play the moves, and look after each."""
    done: list[str] = []
    for move, n in moves:
        done.append(f"{move} {n}")
        if move in ("grow", "miss", "feeds_only", "relay_only"):
            _grow(stage, move, n)
        elif stage.origin.made and move in ("stale", "shrunken", "end"):
            stage.origin.ended = stage.origin.ended or move == "end"
            texts = {"stale": stage.origin.text(without_last=n), "shrunken": stage.origin.text(without_first=n)}
            stage.copy(texts.get(move, stage.origin.text()))
        else:
            _change(stage, move, n)
        wrong = list(stage.look())
        assert not wrong, "\n".join([*done, *map(str, wrong), "", stage.former])


def _grow(stage: Stage, move: str, n: int) -> None:
    if not stage.origin.ended:
        for index in range(n):
            duration_s = stage.origin.target_s - 0.25 * ((n + index) % 3)
            stage.origin.make(duration_s)
            stage.now += duration_s
    if move != "miss":
        stage.copy(stage.origin.text(), to_feeds=move != "relay_only", to_relay=move != "feeds_only")


def _change(stage: Stage, move: str, n: int) -> None:
    origin = stage.origin
    match move:
        case "rewind" | "restart" if not origin.ended:
            origin.begin_anew(rewind=move == "rewind")
        case "jump":
            origin.timeline += 1
        case "mark":
            origin.timeline, origin.marked = origin.timeline + 1, True
        case "gap":
            origin.gap = True
        case "ad":
            origin.repeat = 1 + n % 2
        case "key":
            lines = [AES.format(n), DRM.format(n)]
            origin.state = (*[[], lines[:1], lines[1:], lines][n % 4], f'#EXT-X-MAP:URI="i{n // 4}.mp4"')
        case "feeds":
            stage.feeds_runs = not stage.feeds_runs
        case "wait":
            stage.now += 4 * n
        case _:
            pass


USUAL = ["grow", "grow", "grow", "wait", "stale", "shrunken", "feeds_only", "relay_only"]
ODD = ["miss", "rewind", "restart", "jump", "mark", "gap", "ad", "key", "feeds", "end"]
MOVES = st.lists(st.tuples(st.sampled_from(USUAL + ODD), st.integers(1, 6)), min_size=3, max_size=40)


@given(MOVES, st.integers(2, 6), st.integers(3, 8), st.sampled_from([0.0, 3.0, 20.0]), st.sampled_from([3.0, 15.0]))
@settings(max_examples=150, deadline=None)
def test_live(moves: list[tuple[str, int]], target_s: int, size: int, hold_s: float, max_hold_s: float) -> None:
    play(Stage(Origin(target_s, size, "LIVE"), hold_s=hold_s, max_hold_s=max_hold_s), moves)


@given(MOVES, st.sampled_from([0.0, 20.0]))
@settings(max_examples=60, deadline=None)
def test_event(moves: list[tuple[str, int]], hold_s: float) -> None:
    play(Stage(Origin(4, 3, "EVENT"), hold_s=hold_s, max_hold_s=15.0), moves)


@given(st.integers(1, 30), MOVES, st.sampled_from([0.0, 20.0]))
@settings(max_examples=30, deadline=None)
def test_vod(length: int, moves: list[tuple[str, int]], hold_s: float) -> None:
    origin = Origin(4, 3, "VOD")
    quiet = [(move, n) for move, n in moves if move in ("wait", "feeds", "jump", "mark", "gap", "key")]
    stage = Stage(origin, hold_s=hold_s, max_hold_s=15.0)
    for move, n in quiet:
        play(stage, [(move, n)])
        origin.make(3.5)
    for _ in range(length):
        origin.make(4.0)
    play(stage, [("end", 1), ("wait", 6), ("stale", 1), ("wait", 6), ("grow", 1)])


FOUND = {
    "a shrunken copy after the end": ("LIVE", 6, [("grow", 1)] * 5 + [("end", 1), ("shrunken", 1)]),
    "feeds sees less of a rewind than the relay": (
        "EVENT",
        3,
        [("grow", 1), ("grow", 1), ("rewind", 1), ("relay_only", 2), ("shrunken", 1)],
    ),
    "a key format that ends before the others": (
        "LIVE",
        3,
        [("key", 3), ("grow", 1), ("key", 2), ("grow", 1), ("grow", 1), ("grow", 1), ("grow", 1)],
    ),
}


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_once(name: str) -> None:
    kind, size, moves = FOUND[name]
    play(Stage(Origin(2, size, kind), hold_s=0.0, max_hold_s=15.0), moves)


def test_a_hold_longer_than_the_origins_window() -> None:
    stage = Stage(Origin(4, 3, "LIVE"), hold_s=20.0, max_hold_s=15.0)
    play(stage, [("grow", 1), *[("grow", 1), ("wait", 0)] * 40])
    assert stage.former.count("main/") >= 3
