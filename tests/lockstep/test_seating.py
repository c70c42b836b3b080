from __future__ import annotations

import asyncio
from pathlib import Path

from structlog.testing import capture_logs

from kernel.decisions import NOWHERE, Decision, Ending, Scope, Verdict, Whence
from kernel.io.memory_bus import MemoryBus
from kernel.io.origin import Fetcher
from kernel.playlist import parse_media_playlist
from kernel.showings import Showing
from kernel.tokens import Claims, Reason
from lockstep.seating import Seating
from relay.io.driver import StreamRelay
from relay.io.session_keeper import Denial
from relay.place.model import IpPlace
from relay.sessions.memory_book import MemoryBook
from relay.sessions.model import Order
from relay.sessions.policies import SessionPolicies
from relay.sessions.policy_text import SessionPolicy
from tests.support.tokens import NOW, claims


class Rig:
    def __init__(self) -> None:
        now = asyncio.get_running_loop().time
        self.book = MemoryBook(wall=lambda: float(NOW))
        self.seating = Seating(
            self.book, MemoryBus(now), SessionPolicies(SessionPolicy(1, Order.REJECT), SessionPolicy(2)),
            locate=IpPlace, now=now, dead_after_s=30.0, max_stale_running_s=60.0,
        )  # fmt: skip


class Told:
    def __init__(self, *, fails: bool = False) -> None:
        self.told: list[object] = []
        self._fails = fails

    def warn_session(self, session: str, ending: Ending) -> None:
        self._take(ending.code)

    def end_session(self, session: str, reason: Reason, code: str) -> None:
        self._take((session, reason, code))

    def _take(self, what: object) -> None:
        if self._fails:
            raise RuntimeError("a fault")
        self.told.append(what)


async def test_what_counts_is_by_token_and_policy() -> None:
    rig = Rig()
    keeper = rig.seating.keeper
    agent = Whence("192.0.2.1", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X)")
    bought = [claims(session=f"s{number}", purchase="p", fingerprint="f") for number in (1, 2)]
    assert await keeper.seat(bought[0], agent, media=True) is None
    assert await keeper.seat(bought[1], agent, media=True) == Denial(Reason.SESSION_LIMIT, "session_limit")
    (session,) = await rig.book.of("ann")
    assert (session.keys, dict(session.about)) == (
        ("event:game",),
        {"device": "phone", "fingerprint": "f", "network": "192.0.2.0/24"},
    )
    # Whoever issues a token that says neither purchase nor plan counts by himself.
    assert await keeper.seat(claims(session="s3"), NOWHERE, media=True) is None
    await rig.seating.aclose()


async def test_long_segments_take_long_to_ask_for(tmp_path: Path) -> None:
    rig = Rig()
    showing = Showing("game", (tmp_path / "index.m3u8").as_uri())
    fetcher = Fetcher([showing.origin], now=lambda: 0.0)
    relay = StreamRelay(showing, fetcher=fetcher, bus=MemoryBus(lambda: 0.0))
    rig.seating.relays = {"game": relay}
    assert rig.seating.dead_after_s("game") == 30.0
    assert rig.seating.dead_after_s("elsewhere") == 30.0
    copy = parse_media_playlist("#EXTM3U\n#EXT-X-TARGETDURATION:12\n#EXTINF:12,\na.ts\n")
    relay.presentation.window.observe(copy, ["a.ts"], str, now=0.0)
    assert rig.seating.dead_after_s("game") == 36.0
    await fetcher.aclose()


async def test_a_fault_of_one_keeps_nobody_else_from_ending_a_session() -> None:
    rig, told = Rig(), Told()
    rig.seating.start([Told(fails=True), told])
    keeper = rig.seating.keeper
    for number, grace_ms in ((1, 60_000), (2, 0)):
        assert await keeper.seat(claims(session=f"s{number}"), NOWHERE, media=True) is None
        with capture_logs() as logs:
            await keeper.dismiss("ann", f"s{number}", code="dismissed", by="ops", grace_ms=grace_ms)
        assert logs[-1]["log_level"] == "error"
    assert told.told == ["dismissed", ("s2", Reason.EVICTED, "dismissed")]
    await rig.seating.aclose()


async def test_whoever_is_let_in_to_a_socket_is_looked_for() -> None:
    rig, looked = Rig(), list[str]()
    admitted = True

    def gate(token: str | None, event_id: str, scope: Scope, *, now: float, whence: Whence = NOWHERE) -> Decision:
        verdict = Verdict.ADMIT if admitted else Verdict.REFUSE
        return Decision(verdict, None, may_watch=True, may_wager=True, claims=claims(session=token or ""))

    def look(one: Claims) -> None:
        looked.append(one.session)

    rig.seating.keeper.look = look  # type: ignore[assignment, method-assign]
    looking = rig.seating.looking(gate)
    assert looking("s1", "game", Scope.WATCH, now=NOW).admitted
    admitted = False
    assert not looking("s2", "game", Scope.WATCH, now=NOW).admitted
    assert looked == ["s1"]
