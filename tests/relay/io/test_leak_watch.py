from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response
from structlog.testing import capture_logs

from kernel.playlist import parse_media_playlist
from kernel.revocation import Subject, SubjectKind
from kernel.showings import Showing
from kernel.timeline import SegmentKey
from kernel.tokens import Claims
from relay.io import leak_watch
from relay.io.body import GrantedBody
from relay.io.leak_watch import WARNING_WORD, Fetch, LeakWatch
from relay.io.turns import Turns
from relay.leaks.detector import FORGET_SUSPECT_S
from relay.leaks.model import LeakLimits, Level
from relay.leaks.pacing import MAX_BACKLOG_S
from relay.leaks.word import Suspect
from relay.playlist import Listed, listed
from tests.support.tokens import NOW, claims

SHOWING = Showing("game", Path("/nowhere/x.m3u8").as_uri(), allowed_origins=("https://tv.example",))
SEGMENT = parse_media_playlist("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na.ts\n").segments[0]
FOREIGN = {"headers": [(b"host", b"relay.test"), (b"referer", b"https://free.example/x")]}
OWN = {"headers": [(b"host", b"relay.test"), (b"referer", b"http://relay.test/demo")]}
PLAIN: dict[str, Any] = {"headers": [(b"host", b"relay.test")]}


def segment(msn: int) -> Listed:
    return listed(
        SEGMENT, SegmentKey(0, msn), "file:///nowhere/a.ts", lambda uri: uri, discontinuities=0,
        discontinuity_sequence=0, broken=False, prefix="",
    )  # fmt: skip


def body() -> GrantedBody:
    return GrantedBody(memoryview(bytes(1_000)), granted=lambda: True, turns=Turns(), status_code=200, headers={})


def fetch(
    watch: LeakWatch, whose: Claims, msn: int, *, address: str = "203.0.113.9", rendition: str = "v0",
    scope: Any = PLAIN, then: Callable[..., None] = lambda *_: None,
) -> Fetch:  # fmt: skip
    """Return a segment that is on its way."""
    return Fetch(watch, scope, address, whose, SHOWING, rendition, segment(msn), then, "whose")


def send_whole(watch: LeakWatch, msn: int) -> None:
    """Send a segment of a megabyte."""
    fetch(watch, claims(), msn).sent(0, 10**6, 10**6)


class Watched:
    """A watch whose clock stands still unless it is moved."""

    def __init__(self, most: Level = Level.REVOKE, **limits: Any) -> None:
        self.now = 1_000.0
        self.revoked: list[Suspect] = []
        self.heard: list[tuple[int, ...]] = []
        self.watch = LeakWatch(
            LeakLimits(most, **limits), now=lambda: self.now, wall=lambda: float(NOW), revoke=self.revoked.append
        )

    def send(self, msn: int, *, scope: Any = PLAIN, stop: int = 1_000_000, start: int = 0, **who: Any) -> None:
        def then(whose: str, *told: int) -> None:
            assert whose == "whose"
            self.heard.append(told)

        fetch(self.watch, claims(**who), msn, scope=scope, then=then).sent(start, stop, 1_000_000)

    def download(self, count: int = 200, **who: Any) -> None:
        for msn in range(count):
            self.now += 0.1
            self.send(msn, **who)


def test_whoever_else_is_told_is_told_and_a_viewer_is_answered_as_ever() -> None:
    watched = Watched()
    watched.send(1)
    assert watched.heard == [(0, 1_000_000, 1_000_000)]
    answer = body()
    assert watched.watch.marked(answer, claims(), segment(2)) is answer
    assert "Lockstep-Warning" not in answer.headers
    assert (watched.watch.n_sessions, watched.watch.suspects()[Level.WARN]) == (1, 0)


def test_what_was_given_up_at_the_beginning_is_not_fetched_but_pieces_are() -> None:
    watched = Watched()
    watched.send(1, stop=499_999)
    assert watched.watch.n_sessions == 0
    watched.send(1, start=900_000)
    assert watched.watch.n_sessions == 1


def test_a_downloader_is_told_of_with_words_and_revoked_by_its_session() -> None:
    watched = Watched()
    with capture_logs() as logs:
        watched.download()
    lines = [line for line in logs if line["event"] == "session.suspected"]
    assert [line["action"] for line in lines][-1] == "revoke"
    assert lines[0]["log_level"] == "warning"
    assert (lines[-1]["session"], lines[-1]["account"], lines[-1]["event_id"]) == ("session-1", "ann", "game")
    assert "speed" in lines[-1]["signals"]
    assert "more than can have been watched" in lines[-1]["reasons"][0]
    (suspect,) = watched.revoked
    assert suspect.subject == Subject(SubjectKind.SESSION, "session-1")
    assert (suspect.at, suspect.ends) == (NOW, claims().ends)
    assert watched.watch.found[Level.REVOKE] == 1
    assert watched.watch.suspects()[Level.REVOKE] == 1


def test_a_token_without_a_session_is_revoked_itself() -> None:
    watched = Watched()
    watched.download(session="")
    assert [suspect.subject for suspect in watched.revoked] == [Subject(SubjectKind.TOKEN, "token-1")]


def test_a_suspect_is_warned() -> None:
    watched = Watched(Level.WARN)
    watched.download()
    answer = watched.watch.marked(body(), claims(), segment(3))
    assert answer.headers["Lockstep-Warning"] == WARNING_WORD
    assert isinstance(answer, GrantedBody)
    assert answer.pace is None
    assert watched.revoked == []
    # Others are not, and a refusal stays what it is.
    assert "Lockstep-Warning" not in watched.watch.marked(body(), claims(session="other"), segment(3)).headers
    refusal = Response(status_code=404)
    assert "Lockstep-Warning" not in watched.watch.marked(refusal, claims(), segment(3)).headers


def test_a_suspect_is_paced_over_all_its_bodies_and_told_to_wait() -> None:
    watched = Watched(Level.THROTTLE)
    watched.download()
    waits = []
    answer: Response = body()
    for msn in range(20):
        answer = watched.watch.marked(body(), claims(), segment(msn))
        if not isinstance(answer, GrantedBody):
            break
        assert answer.pace is not None
        waits.append(answer.pace(1_000))
    assert waits[:3] == [0.0, pytest.approx(1.6), pytest.approx(3.2)]
    assert max(waits) <= MAX_BACKLOG_S
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) == MAX_BACKLOG_S


def test_a_page_is_looked_at_where_pages_are_named() -> None:
    watched = Watched()
    for msn in range(6):
        watched.now += 2.0
        watched.send(msn, scope=OWN)
        watched.send(msn, scope=FOREIGN, session="other")
    assert watched.watch.suspects()[Level.THROTTLE] + watched.watch.suspects()[Level.REVOKE] == 1
    assert watched.watch.marked(body(), claims(), segment(7)).headers.get("Lockstep-Warning") is None


def test_a_suspect_that_stops_is_one_no_more() -> None:
    watched = Watched(Level.WARN)
    watched.download()
    with capture_logs() as logs:
        for _ in range(4_000):
            watched.now += 0.1
            watched.watch.tick()
    assert [line["action"] for line in logs] == ["none"]
    assert watched.watch.suspects()[Level.WARN] == 0
    assert watched.watch.found[Level.WARN] == 1
    assert FORGET_SUSPECT_S > 400


def test_a_suspect_that_there_is_no_room_for_is_one_no_more() -> None:
    watched = Watched(Level.WARN, max_sessions=2)
    watched.download()
    for session in ("a", "b", "c"):
        watched.send(1, session=session)
    watched.watch.tick()
    assert watched.watch.suspects()[Level.WARN] == 0


def test_a_session_that_its_claims_know_is_told_of_as_any_other() -> None:
    known, looked_for = Watched(), Watched()
    one = claims()
    with capture_logs() as logs:
        for msn in range(200):
            for watched, whose in ((known, one), (looked_for, claims())):
                # A viewer at first, a downloader then, from a second network in the end.
                watched.now += 2.0 if msn < 50 else 0.1
                address = "203.0.113.9" if msn < 190 else f"198.51.{msn}.9"
                for rendition in ("v0", "a0"):
                    one_of = fetch(watched.watch, whose, msn, address=address, rendition=rendition)
                    one_of.sent(0, 10**6, 10**6)
    assert logs[::2] == logs[1::2]
    assert [line["action"] for line in logs[::2]][-1] == "revoke"
    assert known.revoked == looked_for.revoked
    assert one.fetches is not None
    assert one == claims()


def test_another_network_is_noticed_of_a_session_that_its_claims_know() -> None:
    watch, one, found = Watched(Level.WARN), claims(), []
    for msn in range(30):
        watch.now += 2.0
        # Of one network there may be several addresses.
        address = f"203.0.113.{msn}" if msn < 20 else f"198.51.{msn}.9"
        fetch(watch.watch, one, msn, address=address).sent(0, 10**6, 10**6)
        found.append(watch.watch.suspects()[Level.WARN])
    assert found[:20] == [0] * 20
    assert found[-1] == 1


def test_what_claims_know_is_one_showings() -> None:
    watched, one = Watched(), claims(event_id="other")
    fetch(watched.watch, one, 1).sent(0, 9, 9)
    assert watched.watch.n_sessions == 1
    assert one.fetches is None


async def test_it_runs_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leak_watch, "IDLE_S", 0.0)
    # Each look at the clock finds it ten seconds later.
    later = count(1_000, 10)
    watch = LeakWatch(LeakLimits(), now=lambda: float(next(later)), wall=lambda: float(NOW))
    running = asyncio.create_task(watch.run())
    await asyncio.sleep(0)
    fetch(watch, claims(), 1).sent(0, 9, 9)
    assert watch.n_sessions == 1
    for _ in range(100):
        await asyncio.sleep(0)
    assert watch.n_sessions == 0
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
