"""Weigh viewers whose players report: `python -m bench playheads`.

5,000 viewers of a live stream, each with a playhead of its own, report every two seconds and load every segment; a
cue a second falls due for each of them at its own moment. What the hub's logic takes of a core is the figure, reading
the reports included, sockets aside. The yardstick, in the same run, are as many viewers who never report: all of them
share one frontier, so it is what a viewer costs that needs nothing looked at for it alone.
"""

from __future__ import annotations

import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from bench._stage import machine, report
from hub.dialogue import Dialogue
from hub.settings import HubSettings
from hub.stream import Stream
from hub.subscriber import Subscriber
from kernel.cues import Cue, CueClass, CueType, Entry, Op
from kernel.decisions import NOWHERE, Decision, Scope, Verdict, Whence
from kernel.marks import Opened, Served
from kernel.pts import TICKS_PER_S, Ticks
from kernel.showings import Showing
from kernel.timeline import MediaTime, SegmentTiming, StreamState
from kernel.tokens import Claims
from lockstep.collector import set_up_collector

if TYPE_CHECKING:
    from collections.abc import Callable

VIEWERS = 5_000
SEGMENT_S, FIRST, SECONDS = 2, 20, 10
REPORT_S, STEP_S = 2.0, 0.1
CUES_A_SECOND = 1
EVENT = "bench"
FIGURE = 1.0


def _admit(token: str | None, event_id: str, scope: Scope, *, now: float, whence: Whence = NOWHERE) -> Decision:
    scopes = frozenset({Scope.WATCH, Scope.WAGER})
    claims = Claims(token or "", "ann", event_id, 0, 1 << 40, (0, 1 << 40), "s", scopes)
    return Decision(Verdict.ADMIT, None, may_watch=True, may_wager=True, claims=claims)


class Crowd:
    """A stream and those who watch it; `spent` is the CPU time of the hub's logic in seconds."""

    def __init__(self, *, reports: bool) -> None:
        self.reports = reports
        settings = HubSettings()
        self.stream = Stream(Showing(EVENT, "http://127.0.0.1/"), settings)
        self.dialogue = Dialogue({EVENT: self.stream}, _admit, settings, "node")
        self.stream.set_epoch("e")
        self.stream.set_state(StreamState(EVENT, SEGMENT_S, live=True, ended=False, begun=True, last=None), 0.0)
        self.spent = 0.0
        self.delivered = 0
        self._offset = 0
        for msn in range(FIRST):
            self._open(msn, 0.0)
        self._seal(0, FIRST * SEGMENT_S, 0.0)
        self.viewers: list[Subscriber] = []
        self._clocked(*(partial(self._join, number) for number in range(VIEWERS)))

    def run(self) -> None:
        """Let `SECONDS` of the stream pass."""
        steps = round(REPORT_S / STEP_S)
        for step in range(round(SECONDS / STEP_S)):
            now = (step + 1) * STEP_S
            # Cues are sealed ahead of their picture, and players load what is out.
            if step % round(SEGMENT_S / STEP_S) == 0:
                msn = FIRST + step // round(SEGMENT_S / STEP_S)
                self._seal(msn * SEGMENT_S, SEGMENT_S, now)
                self._open(msn, now)
                served = [Served(EVENT, _session(one), msn, msn) for one in self.viewers if self.reports]
                self._clocked(*(partial(self.stream.serve, one, now) for one in served))
            self._clocked(partial(self.stream.timer, now))
            told = [(one, self._where(one.number, now)) for one in self.viewers[step % steps :: steps] if self.reports]
            self._clocked(*(partial(self._say, one, data, now) for one, data in told))
            self._clocked(self._flush)

    def _where(self, number: int, now: float) -> bytes:
        at = FIRST * SEGMENT_S - 6 - number % 100 / 50 + now
        pts = round(at * TICKS_PER_S)
        return json.dumps({"op": "pos", "msn": int(at // SEGMENT_S), "pts": pts, "rate": 1}).encode()

    def _join(self, number: int) -> None:
        one = Subscriber(number, EVENT, HubSettings(), 0.0)
        self.dialogue.greet(one, str(number), None, wall=0.0)
        if self.reports:
            self.stream.serve(Served(EVENT, _session(one), FIRST - 8, FIRST - 1), 0.0)
            self._say(one, self._where(number, 0.0), 0.0)
        self._say(one, b'{"op":"sub","lead_ms":250}', 0.0)
        while self.stream.next_owed(one, 0.0) is not None:
            pass
        self.viewers.append(one)

    def _say(self, one: Subscriber, data: bytes, now: float) -> None:
        self.dialogue.receive(one, data, now=now, wall=0.0)

    def _open(self, msn: int, now: float) -> None:
        start = Ticks(msn * SEGMENT_S * TICKS_PER_S)
        end = Ticks(start + SEGMENT_S * TICKS_PER_S)
        timing = SegmentTiming(EVENT, 0, msn, None, f"{msn}.ts", 0, start, end, None, 0.0, None)
        self._clocked(lambda: self.stream.add_timing(timing, now))
        self._clocked(lambda: self.stream.open(Opened(EVENT, 0, msn, None, timing.upto, now), now))

    def _seal(self, first_s: float, seconds: float, now: float) -> None:
        for number in range(round(seconds * CUES_A_SECOND)):
            at = MediaTime(0, Ticks(round((first_s + number / CUES_A_SECOND) * TICKS_PER_S)))
            cue = Cue(
                f"b:{self._offset}", 1, Op.NEW, CueType.PLAY, CueClass.LOCKED, at, 0, None, 0, None, 0, {"txt": "x"}
            )  # fmt: skip
            entry = Entry(self._offset, cue, at)
            self._offset += 1
            self._clocked(partial(self.stream.add_entry, entry, now))

    def _flush(self) -> None:
        for delivery in self.stream.take_deliveries():
            self.delivered += len(delivery.to) * len(delivery.entries)

    def _clocked(self, *calls: Callable[[], Any]) -> None:
        # Many at a time: the clock is dear on some machines.
        began = time.process_time_ns()
        for call in calls:
            call()
        self.spent += (time.process_time_ns() - began) / 1e9


def _session(one: Subscriber) -> str:
    return str(one.number)


def main() -> None:
    """Measure both crowds."""
    set_up_collector()
    cores, deliveries = {}, {}
    joined = 0.0
    for reports in (True, False):
        crowd = Crowd(reports=reports)
        joined = crowd.spent if reports else joined
        crowd.spent, crowd.delivered = 0.0, 0
        crowd.run()
        cores[reports] = crowd.spent / SECONDS
        deliveries[reports] = crowd.delivered
    where = machine()
    report(
        "playheads",
        [
            {
                "what": f"{VIEWERS} viewers that report every {REPORT_S:g} s, {deliveries[True]} cues in {SECONDS} s",
                "ours": round(cores[True], 3),
                "yardstick": round(cores[False], 5),
                "yardstick_what": f"as many that never report, {deliveries[False]} cues",
                "ratio": round(cores[True] / cores[False], 1),
                "unit": "cores",
                "figure": f"<= {FIGURE:g} core",
                "met": cores[True] <= FIGURE,
                **where,
            },
            {
                "what": "one of them joins",
                "ours": round(joined / VIEWERS * 1e3, 3),
                "unit": "ms",
                "figure": "<= 1 ms",
                "met": joined / VIEWERS <= 1e-3,
                **where,
            },
        ],
    )


if __name__ == "__main__":
    main()
