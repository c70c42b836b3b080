"""What players do, request by request, as the leak detector's corpus needs it; simulated, seeded, without a clock.

Written from what players document and what their sources do, not from what the detector looks at:

* hls.js keeps 30 s ahead, or as many as 60 MB are (`maxBufferLength`, `maxBufferSize`), 600 s at most; it loads the
  first segment twice to measure the line, gives a segment up half way to load a smaller one, tries six times after
  1, 2, 4, 8 s, and throws away what is ahead when somebody picks a quality;
* ExoPlayer keeps 50 s and replaces pieces of what it has by better ones; AVPlayer keeps a minute or two, and begins
  with the first variant before it takes a better one; video.js keeps 30 to 60 s, televisions 20 to 30, Shaka 10;
* a live player begins three target durations behind the end and asks for each segment when it is listed;
* segments may be kept by a browser for an hour, so a second tab seldom asks for the same one again.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

LADDER_BPS = (400_000, 1_200_000, 2_500_000, 4_500_000, 7_000_000)
"""By rendition: v0 to v4."""

AUDIO_BPS = 128_000


class Fetch(NamedTuple):
    """A segment that went out: when its body was over, which, how long, how much of it, to where, from which page."""

    at: float
    rendition: str
    msn: int
    seconds: float
    n_bytes: int
    share: float
    network: int
    referer: str | None


@dataclass(frozen=True)
class Stage:
    """A showing: `live` has a sliding list, `event` one that shows all since `opened`, `vod` is complete.

    Times are seconds on the axis of the sessions' own times; segment n covers `opened + n * segment_s` and on.
    """

    event_id: str
    kind: Literal["live", "event", "vod"]
    segment_s: float
    opened: float
    n_window: int
    has_audio: bool
    page: str | None

    def last(self, at: float) -> int:
        """Return the newest segment that is listed."""
        if self.kind == "vod":
            return 3 * 3_600
        return int((at - self.opened) / self.segment_s) - 1

    def first(self, at: float) -> int:
        """Return the oldest one."""
        return max(0, self.last(at) - self.n_window + 1) if self.kind == "live" else 0

    def listed_at(self, msn: int) -> float:
        """Return when a segment is listed."""
        return 0.0 if self.kind == "vod" else self.opened + (msn + 1) * self.segment_s


def draw_stage(draw: random.Random, number: int, begins: float) -> Stage:
    """Return a showing: most of sport is live, some of it with everything since the whistle, some is watched later."""
    kind: Literal["live", "event", "vod"] = draw.choices(["live", "event", "vod"], [60, 20, 20])[0]  # type: ignore[assignment]
    segment_s = draw.choices([2.0, 4.0, 6.0], [35, 30, 35])[0]
    return Stage(
        f"game-{number}",
        kind,
        segment_s,
        begins - draw.uniform(1_200, 7_200),
        draw.choice([6, 10, 15, 30]),
        draw.random() < 0.4,
        draw.choice(["tv.example", None]) if draw.random() < 0.8 else "shop.example",
    )


@dataclass
class Device:
    """A player on a line: how far ahead it loads, how fast the line is, how often that fails, where it is."""

    family: str
    line_bps: float
    failure: float
    networks: list[int]
    rotates: float = 0.0
    referer: str | None = None
    rate: float = 1.0
    habits: dict[str, float] = field(default_factory=dict)

    def ahead_s(self, bps: float) -> float:
        """Return how many seconds it wants to have ahead."""
        if self.family == "hls.js":
            return min(600.0, max(30.0, 60e6 * 8 / bps))
        return {"exo": 50.0, "av": self.habits.get("ahead", 75.0), "vhs": 45.0, "tv": 25.0, "shaka": 10.0}[self.family]


def draw_device(draw: random.Random, network: int) -> Device:
    """Return a viewer's device."""
    mobile = draw.random() < 0.4
    line = draw.lognormvariate(16.2, 0.8) if mobile else draw.lognormvariate(17.6, 0.8)  # 11 and 44 Mbit/s
    bad = draw.random() < 0.05
    family = draw.choices(["hls.js", "av", "exo", "tv", "vhs", "shaka"], [40, 22, 18, 10, 7, 3])[0]
    device = Device(family, line / (12 if bad else 1), draw.choice([0.1, 0.3]) if bad else 0.004, [network])
    device.habits["ahead"] = draw.uniform(50, 130)
    if mobile and draw.random() < 0.15:
        device.habits["handover"] = draw.uniform(5, 100)
    if draw.random() < 0.03:
        # A carrier's or a relay's pool of addresses: connections come from several networks in turn.
        device.networks += [draw.getrandbits(28) for _ in range(draw.choice([1, 1, 2, 3]))]
        device.rotates = draw.choice([0.05, 0.3])
    return device


class Player:
    """One player that watches for a while; `fetches` yields what it gets, in order of time."""

    def __init__(self, draw: random.Random, stage: Stage, device: Device, begins: float, ends: float) -> None:
        self._draw = draw
        self._stage = stage
        self._device = device
        self._at = begins
        self._ends = ends
        self._network = device.networks[0]
        self._handover = begins + device.habits["handover"] if "handover" in device.habits else float("inf")
        self._estimate = min(device.line_bps, 1.5e6)
        self._level = 0
        self._next = 0
        self._position = 0.0
        self._looked = begins
        self._stopped = False
        self._failing = 0
        self._has: dict[int, int] = {}
        self._floor = 0

    def fetches(self) -> Iterator[Fetch]:
        """Watch until the end."""
        self._tune_in()
        yield from self._begin()
        plans = sorted(self._plans(), reverse=True)
        while self._at < self._ends:
            while plans and plans[-1][0] <= self._at:
                yield from self._do(plans.pop()[1])
            self._play()
            wait = self._wait()
            if wait > 0:
                until = self._at + max(wait, 0.01)
                self._at = min(until, plans[-1][0]) if plans and plans[-1][0] > self._at else until
                continue
            yield from self._load()

    def _tune_in(self) -> None:
        stage = self._stage
        last = stage.last(self._at)
        if stage.kind == "vod" or (stage.kind == "event" and self._draw.random() < 0.3):
            self._next = 0 if self._draw.random() < 0.6 else self._draw.randrange(max(1, min(last, 1_500)))
        else:
            self._next = max(stage.first(self._at), last - 2)
        self._position = self._next * stage.segment_s
        self._floor = self._next

    def _begin(self) -> Iterator[Fetch]:
        """Load the first segment, twice where the family measures with it."""
        family = self._device.family
        if family in ("hls.js", "av"):
            levels = 1 if family == "hls.js" else self._draw.choice([1, 2, 3])
            for step in range(levels):
                yield from self._one(self._next + step, 0)
        self._choose()

    def _plans(self) -> list[tuple[float, str]]:
        """Return what the viewer will do beside looking on, each with its time."""
        draw, span = self._draw, self._ends - self._at

        def at_random() -> float:
            return self._at + draw.uniform(3, max(4.0, span))

        plans = [(at_random(), "pause") for _ in range(draw.random() < 0.2)]
        plans += [(at_random(), "sleep") for _ in range(draw.random() < 0.1)]
        plans += [(at_random(), "quality") for _ in range(draw.random() < 0.05)]
        if self._stage.kind != "live" and draw.random() < 0.35:
            plans += [(at_random(), "seek") for _ in range(draw.choice([1, 1, 2, 3, 5, 8]))]
        if self._stage.kind != "live" and draw.random() < 0.03:
            begin = at_random()
            plans += [(begin + number * draw.uniform(0.7, 3), "seek") for number in range(draw.randint(4, 20))]
        return plans

    def _do(self, what: str) -> Iterator[Fetch]:
        draw, stage = self._draw, self._stage
        if what in ("pause", "sleep"):
            span = draw.uniform(5, 90)
            if what == "pause":
                # It goes on loading until it has what it wants ahead.
                self._stopped = True
                begun, self._ends = self._at, self._ends + span
                while self._at < begun + span and self._wait() <= 0:
                    yield from self._load()
                self._stopped = False
                self._at = max(self._at, begun + span)
            else:
                self._at += span
                self._ends += span
            self._looked = self._at
            if self._next < stage.first(self._at):
                self._next = max(stage.first(self._at), stage.last(self._at) - 2)
                self._position = self._next * stage.segment_s
        elif what == "seek":
            jump = draw.choice([-600, -60, -30, -10, 10, 30, 60, 60, 300, 900, 1_800]) / stage.segment_s
            wanted = max(0, min(int(self._position / stage.segment_s + jump), stage.last(self._at) - 2))
            # Behind the picture most players keep what was seen; ExoPlayer and televisions do not.
            floor = int(self._position / stage.segment_s) if self._device.family in ("exo", "tv") else self._floor
            if not floor <= wanted < self._next:
                self._next = self._floor = wanted
            self._position = wanted * stage.segment_s
        else:
            # A quality that somebody picks: what is ahead is loaded again.
            self._level = draw.randrange(len(LADDER_BPS))
            self._next = max(int(self._position / stage.segment_s) + 1, stage.first(self._at))

    def _play(self) -> None:
        if not self._stopped:
            self._position = min(
                self._position + (self._at - self._looked) * self._device.rate, self._next * self._stage.segment_s
            )
        self._looked = self._at

    def _wait(self) -> float:
        """Return how long there is nothing to load."""
        stage = self._stage
        if stage.kind != "vod" and (missing := stage.listed_at(self._next) - self._at) > 0:
            # Seen with the next look at the playlist.
            return missing + self._draw.uniform(0, stage.segment_s / 2)
        ahead = self._next * stage.segment_s - self._position
        return (ahead - self._device.ahead_s(LADDER_BPS[self._level])) / self._device.rate + 0.05

    def _load(self) -> Iterator[Fetch]:
        draw, device = self._draw, self._device
        before = self._level
        self._choose()
        if device.family in ("exo", "av") and self._level > before and draw.random() < 0.5:
            self._improve()
        if draw.random() < device.failure * (1 if self._failing else 0.6):
            yield from self._fail()
            return
        self._failing = 0
        yield from self._one(self._next, self._level)
        self._next += 1

    def _improve(self) -> None:
        """Load some of what is ahead again, where that is worse and there is time."""
        playing = int(self._position / self._stage.segment_s)
        for _ in range(self._draw.randint(1, 4)):
            last = self._next - 1
            if last - playing < 2 or last < self._stage.first(self._at) or self._has.get(last, 9) >= self._level:
                return
            self._next = last

    def _fail(self) -> Iterator[Fetch]:
        """Lose a segment on the way: again after a while, or in a smaller size."""
        draw = self._draw
        share = draw.random() ** 0.7
        took = draw.uniform(0.5, 6)
        self._at += took
        # A server counts what its buffers took: of a small segment that is all of it.
        yield from self._told(self._next, self._level, share if draw.random() < 0.7 else 1.0)
        self._failing += 1
        self._at += min(8.0, 2.0 ** (self._failing - 1)) if draw.random() < 0.5 else 0.1
        self._estimate *= 0.5
        if self._failing > 6:
            self._failing, self._next = 0, self._next + 1

    def _choose(self) -> None:
        affordable = [level for level, bps in enumerate(LADDER_BPS) if bps < 0.75 * self._estimate]
        best = affordable[-1] if affordable else 0
        if best < self._level or self._draw.random() < 0.5:
            self._level = best

    def _one(self, msn: int, level: int) -> Iterator[Fetch]:
        """Load a segment, and its sound."""
        draw, device = self._draw, self._device
        n_bytes = LADDER_BPS[level] * self._stage.segment_s / 8
        bps = device.line_bps * draw.lognormvariate(0, 0.3)
        self._at += 0.03 + 8 * n_bytes / bps
        self._estimate += 0.4 * (bps - self._estimate)
        self._has[msn] = level
        yield from self._told(msn, level, 1.0)

    def _told(self, msn: int, level: int, share: float) -> Iterator[Fetch]:
        stage, device, draw = self._stage, self._device, self._draw
        if self._at >= self._handover:
            self._network, self._handover = draw.getrandbits(28), self._at + draw.uniform(20, 300)
        network = draw.choice(device.networks) if draw.random() < device.rotates else self._network
        seconds = stage.segment_s
        n_bytes = int(LADDER_BPS[level] * seconds / 8 * draw.uniform(0.8, 1.15))
        yield Fetch(self._at, f"v{level}", msn, seconds, n_bytes, share, network, device.referer)
        if stage.has_audio:
            n_bytes = int(AUDIO_BPS * seconds / 8)
            yield Fetch(self._at + 0.01, "a0", msn, seconds, n_bytes, 1.0, network, device.referer)
