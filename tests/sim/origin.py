"""An encoder and its origin, by seed: what it makes is known exactly, what it serves may be late, old, broken or gone.

Segments are transport packets that only this simulation can read: `InLoopDemuxer` stands where PyAV's child process
does and reports to the real code what that child would have found.
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from feeds.io.demux import Demuxer
from feeds.media import SegmentMedia, TrackKey
from feeds.ts import PACKET_BYTES, SYNC, RawTrack, segment_media
from kernel.errors import MediaError, OriginError, OriginMissing
from kernel.io.origin_http import Answer, HttpOrigin
from kernel.pts import TICKS_PER_S, WRAP

if TYPE_CHECKING:
    import random

    from tests.sim.loop import SimLoop

FRAME_TICKS = TICKS_PER_S // 12
_HEAD = struct.Struct(">BQHH")
_KEY = TrackKey("video", "h264", 256, TICKS_PER_S)
_PRELUDE = 6


@dataclass(frozen=True)
class Made:
    """A segment as its encoder knows it: `start` is the counter unwrapped, `wall` the UTC of its first picture."""

    uri: str
    origin_msn: int
    run: int
    start: int
    wall: float
    listed_at: float
    duration_s: float
    tagged: bool
    body: bytes
    is_gap: bool = False

    @property
    def end(self) -> int:
        """Return where the next segment of this run begins."""
        return self.start + round(self.duration_s * TICKS_PER_S)


@dataclass
class EncoderPlan:
    """What an encoder does. Times are wall seconds of the picture; `restarts` may rewind the origin's numbers."""

    begins: float
    ends: float
    segment_s: int = 2
    base: int = 0
    latency_s: float = 1.0
    date_jitter_s: float = 0.0
    dated: bool = True
    restarts: list[tuple[float, bool, bool]] = field(default_factory=list)
    """(when, is it tagged, does the origin's numbering begin anew)"""
    late: float = 0.0
    broken: float = 0.0
    has_end: bool = False
    is_live: bool = True
    """Else everything is there from the start, with an end."""
    body_bytes: int = 6 * PACKET_BYTES
    n_listed: int = 8
    """How many segments a live list holds."""
    first_msn: int | None = None
    """The origin's first number; None: any."""
    stuck: tuple[float, float] = (0.0, 0.0)
    """From when until when nothing is added to its list; then all is that was made meanwhile."""


def encode(plan: EncoderPlan, dice: random.Random) -> list[Made]:
    """Return all segments that there will ever be, in the order in which they are made."""
    made: list[Made] = []
    wall, run, counter, msn, tagged = plan.begins, 0, plan.base, dice.randrange(1_000), False
    if plan.first_msn is not None:
        msn = plan.first_msn
    restarts = list(plan.restarts)
    listed_at = 0.0
    while wall < plan.ends:
        if restarts and wall >= restarts[0][0]:
            _, tagged, rewinds = restarts.pop(0)
            run, counter = run + 1, dice.randrange(WRAP)
            wall += dice.uniform(0.0, 3.0)
            if rewinds:
                msn, tagged = 0, False
        late_s = dice.uniform(0.5, 3.0) if dice.random() < plan.late else dice.random() * 0.1
        listed_at = max(listed_at, wall + plan.segment_s + plan.latency_s + late_s)
        frames = plan.segment_s * TICKS_PER_S // FRAME_TICKS
        broken = dice.random() < plan.broken
        body = _body(counter % WRAP, frames, run, plan.body_bytes, broken=broken)
        made.append(
            Made(
                f"r{run}-{msn}.ts",
                msn,
                run,
                counter,
                wall,
                listed_at,
                plan.segment_s,
                tagged,
                body,
                is_gap=broken and dice.random() < 0.3,
            )
        )
        wall, counter, msn, tagged = wall + plan.segment_s, counter + frames * FRAME_TICKS, msn + 1, False
    return made


def _body(pts33: int, frames: int, run: int, n_bytes: int, *, broken: bool) -> bytes:
    head = _HEAD.pack(SYNC, pts33, 0 if broken else frames, run)
    return head.ljust(PACKET_BYTES, b"\xff") + bytes([SYNC]).ljust(PACKET_BYTES, b"\xff") * (
        n_bytes // PACKET_BYTES - 1
    )


def head_of(body: bytes) -> tuple[int, int]:
    """Return the 33-bit time of a segment's first picture, and how many there are."""
    _, first, frames, _ = _HEAD.unpack_from(body)
    return first, frames


class InLoopDemuxer(Demuxer):
    """Read what `encode` made, after a while."""

    def __init__(self, dice: random.Random) -> None:
        super().__init__()
        self._dice = dice

    async def measure(self, body: bytes) -> SegmentMedia:
        """Return the timing of a segment."""
        await asyncio.sleep(0.002 + self._dice.expovariate(200))
        first, frames = head_of(body)
        if not frames:
            raise MediaError("the segment is unreadable: there is nothing in it")
        # As FFmpeg gives them: of a segment that begins shortly before the wrap negative, otherwise as they stand.
        offset = WRAP if first + 60 * TICKS_PER_S > WRAP else 0
        pts = tuple(first + n * FRAME_TICKS - offset for n in range(frames))
        return segment_media([RawTrack(_KEY, pts, (0,) * frames)])

    async def aclose(self) -> None:
        """There is no child to be ended."""


class SimOrigin(HttpOrigin):
    """Serve encoders' playlists and segments, in the place of the HTTP client; `trouble` says how badly, 0 to 1."""

    def __init__(self, loop: SimLoop, dice: random.Random, *, wall: Any, trouble: float) -> None:
        super().__init__(
            (), connect_timeout_s=1, read_timeout_s=1, total_timeout_s=1, max_redirects=0
        )  # fmt: skip
        self._loop = loop
        self._dice = dice
        self._wall = wall
        self.trouble = trouble
        self.dark_until = 0.0
        self.lags_s = 0.0
        """How old what a cache in between answers is, to one in three."""
        self.stale_s, self.fresh_from = 0.0, 0.0
        """How old its answers are to everybody, and from when on (in bus time) they are no more."""
        self.dropouts: list[tuple[float, float]] = []
        """From when until when (in wall time) what encoders upload is lost: it is listed, and not there."""
        self.streams: dict[str, tuple[EncoderPlan, list[Made]]] = {}
        self.by_uri: dict[str, Made] = {}
        self.spoilt = 0
        """How many answers were errors, or older than the truth."""
        self.smallest_bytes = 6 * PACKET_BYTES

    def add(self, name: str, plan: EncoderPlan, made: list[Made]) -> None:
        """Serve one more stream, at `http://origin/{name}/index.m3u8`."""
        self.streams[name] = (plan, made)
        self.by_uri.update((f"http://origin/{name}/{one.uri}", one) for one in made)

    def break_down(self, lasts_s: float) -> None:
        """Be dark, and lose what encoders upload meanwhile."""
        self.dark_until = self._loop.time() + lasts_s
        self.dropouts.append((self._wall(), self._wall() + lasts_s))

    def _is_lost(self, made: Made) -> bool:
        return any(since <= made.listed_at < until for since, until in self.dropouts)

    async def read(
        self,
        url: str,
        limit_bytes: int,
        byte_range: tuple[int, int] | None = None,
        *,
        known: Answer | None = None,
    ) -> Answer:
        """Return what is at a URL by now."""
        dice = self._dice
        await asyncio.sleep(0.003 + dice.expovariate(150))
        troubled = dice.random() < self.trouble
        self.spoilt += troubled or self._loop.time() < self.dark_until
        if self._loop.time() < self.dark_until or (troubled and dice.random() < 0.3):
            await asyncio.sleep(dice.uniform(0.01, 1.0))
            raise OriginError(f"{url}: 503")
        name, _, file = url.removeprefix("http://origin/").partition("/")
        if file != "index.m3u8":
            made = self.by_uri.get(url)
            if made is None or (troubled and dice.random() < 0.5) or self._is_lost(made):
                raise OriginMissing(f"{url}: 404")
            return Answer(url, made.body, "video/mp2t")
        # A cache in between may answer with what was true some time ago.
        age_s = dice.uniform(0.0, 3.0) if troubled else 0.0
        if self.lags_s and dice.random() < 1 / 3:
            age_s = self.lags_s
        if self._loop.time() < self.fresh_from:
            age_s = max(age_s, self.stale_s)
        body = self.playlist(name, self._wall() - age_s).encode()
        return known if known is not None and known.body == body else Answer(url, body, "application/x-mpegurl")

    async def aclose(self) -> None:
        """There is no connection to be closed."""

    def playlist(self, name: str, wall: float) -> str:
        """Return a stream's media playlist as it stood at a time."""
        plan, every = self.streams[name]
        if plan.stuck[0] <= wall < plan.stuck[1]:
            wall = plan.stuck[0]
        there = [one for one in every if one.listed_at <= wall]
        # What lies before the last rewind is gone.
        rewound = max((n for n in range(1, len(there)) if there[n].origin_msn <= there[n - 1].origin_msn), default=0)
        listed = there[rewound:][-plan.n_listed if plan.is_live else 0 :]
        if not listed:
            raise OriginError("nothing is there yet")
        lines = [
            "#EXTM3U",
            "#EXT-X-VERSION:6",
            f"#EXT-X-TARGETDURATION:{plan.segment_s}",
            f"#EXT-X-MEDIA-SEQUENCE:{listed[0].origin_msn}",
            f"#EXT-X-DISCONTINUITY-SEQUENCE:{sum(one.tagged for one in there[: len(there) - len(listed)])}",
        ]
        for one in listed:
            lines += self._lines(plan, one)
        if plan.has_end and len(there) == len(every):
            lines.append("#EXT-X-ENDLIST")
        return "\n".join([*lines, ""])

    def _lines(self, plan: EncoderPlan, one: Made) -> list[str]:
        lines = ["#EXT-X-DISCONTINUITY"] if one.tagged else []
        if one.is_gap:
            lines.append("#EXT-X-GAP")
        if plan.dated:
            # The same for everybody who asks: by the segment's own number.
            jitter_s = plan.date_jitter_s * ((one.origin_msn * 7_919 % 201) / 100 - 1)
            date = datetime.fromtimestamp(one.wall + jitter_s, UTC).isoformat(timespec="milliseconds")
            lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{date.replace('+00:00', 'Z')}")
        return [*lines, f"#EXTINF:{one.duration_s:.3f},", one.uri]


def prelude(segment_s: int) -> float:
    """Return for how many seconds an encoder has run when a simulation begins."""
    return float(_PRELUDE * segment_s)
