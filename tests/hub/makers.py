"""Records for the hub's tests: a stream of two-second segments, and the entries pinned to it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from kernel.cues import Cue, CueClass, CueType, Entry, Op
from kernel.decisions import NOWHERE, Decision, Ending, Scope, Verdict, Whence
from kernel.marks import Opened
from kernel.pts import TICKS_PER_S, Ticks
from kernel.showings import Showing, Source
from kernel.timeline import MediaTime, SegmentKey, SegmentTiming, StreamState
from kernel.tokens import Claims, Reason
from tests.support.invariants import Fact

STREAM = "game"
SEGMENT_S = 2
SHOWING = Showing(STREAM, "http://127.0.0.1:9000/index.m3u8", (Source("nba", "nba"), Source("desk", "nba", "trading")))


def at(seconds: float, timeline: int = 0) -> MediaTime:
    """Return a media time in seconds."""
    return MediaTime(timeline, Ticks(round(seconds * TICKS_PER_S)))


def on_show(seconds: float, timeline: int = 0) -> MediaTime:
    """Return the frontier of a viewer to whom the picture at `seconds` is shown: a tick beyond it."""
    return MediaTime(timeline, Ticks(at(seconds).pts + 1))


def timing(msn: int, *, timeline: int = 0, start: float | None = None, generation: int = 0) -> SegmentTiming:
    """Return the timing of segment `msn`, which begins at msn * 2 s unless told."""
    begins = msn * SEGMENT_S if start is None else start
    return SegmentTiming(
        stream=STREAM,
        generation=generation,
        msn=msn,
        part=None,
        uri=f"{msn}.ts",
        timeline=timeline,
        start=at(begins).pts,
        end=at(begins + SEGMENT_S).pts,
        wall=None,
        sigma_ms=0.0,
        method=None,
    )


def opened(msn: int, when: float, *, marked: bool = True, upto: MediaTime | None = None) -> Opened:
    """Return the opening of segment `msn` at bus time `when`."""
    end = upto or at((msn + 1) * SEGMENT_S)
    return Opened(STREAM, 0, msn, None, end if marked else None, when)


def state(*, live: bool = True, ended: bool = False, begun: bool = True, last: int | None = None) -> StreamState:
    """Return what feeds says of the stream."""
    return StreamState(STREAM, SEGMENT_S, live, ended, begun, SegmentKey(0, last) if last is not None else None)


def entry(
    o: int,
    due: MediaTime | None,
    *,
    id: str | None = None,  # noqa: A002 - as on the wire
    rev: int = 1,
    type: CueType = CueType.PLAY,  # noqa: A002 - as on the wire
    cls: CueClass | None = None,
    body: dict[str, Any] | None = None,
    source: str = "nba",
) -> Entry:
    """Return an entry that is due at `due`; None makes it safety."""
    cue = Cue(
        id=id or f"{source}:{o}",
        rev=rev,
        op=Op.NEW if rev == 1 else Op.AMEND,
        type=type,
        cls=cls or (CueClass.LOCKED if due is not None else CueClass.SAFETY),
        at=due,
        msn=None,
        part=None,
        off=None,
        wall_ms=None,
        sigma_ms=0,
        body=body or {},
    )
    return Entry(o, cue, due)


def fact_of(made: Entry, now: float) -> Fact:
    """Return an entry, on the bus since `now`, as the invariants know it."""
    cue, body = made.cue, made.cue.body
    told = body.get("market") or body.get("price") or body.get("inv") or {}
    return Fact(
        o=made.o,
        id=cue.id,
        rev=cue.rev,
        due=(made.due.timeline, made.due.pts) if made.due is not None else None,
        at=now,
        type=cue.type.value,
        cls=cue.cls.value,
        kind=cue.op.value,
        mid=told.get("mid"),
        ver=body.get("ver", told.get("ver", told.get("min_ver", 0))),
        bodiless=cue.op is Op.CONFIRM and not body,
    )


def claims(
    *scopes: Scope, account: str = "ann", event_id: str = STREAM, expires: int = 2_000, session: str = "s"
) -> Claims:
    """Return claims that hold from 0 to `expires`."""
    return Claims("j", account, event_id, 0, expires, (0, expires), session, frozenset(scopes or (Scope.WATCH,)))


class Gate:
    """Admit by a table of tokens, as the relay's gate would."""

    def __init__(self, **tokens: Claims) -> None:
        self.tokens = tokens
        self.ending: Ending | None = None

    def __call__(
        self, token: str | None, event_id: str, scope: Scope, *, now: float, whence: Whence = NOWHERE
    ) -> Decision:
        """Decide as the token's claims have it."""
        known = self.tokens.get(token or "")
        if known is None:
            return Decision(Verdict.REFUSE, Reason.BAD_TOKEN, may_watch=False, may_wager=False, claims=None)
        reason = known.reason_at(now, event_id, scope)
        if reason is not None:
            return Decision(Verdict.REFUSE, reason, may_watch=False, may_wager=False, claims=known)
        wager = Scope.WAGER in known.scopes
        admitted = Decision(Verdict.ADMIT, None, may_watch=True, may_wager=wager, claims=known)
        if self.ending is None:
            return admitted
        return replace(admitted, verdict=Verdict.WARN, reason=Reason.EVICTED, ending=self.ending)
