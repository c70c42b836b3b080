from __future__ import annotations

from typing import Any

import pytest

from hub.client import MAX_MISMATCHES, MAX_SEEN, Session
from hub.floors import Floors
from hub.messages import cue_map
from hub.snapshot import snapshot
from hub.state import State
from kernel.cues import CueClass, CueType
from tests.hub.makers import at, entry


def sub(*, resumed: bool = False, epoch: str = "e") -> dict[str, Any]:
    return {"op": "sub", "resumed": resumed, "epoch": epoch, "cur": None}


def beat(**more: Any) -> dict[str, Any]:
    return {"op": "hb", "cur": "c1", "may_wager": True, **more}


def cue(o: int, **more: Any) -> dict[str, Any]:
    return cue_map(entry(o, at(1), **more))


def market(o: int, ver: int) -> dict[str, Any]:
    body = {"market": {"mid": "m", "st": "open", "ver": ver}}
    return cue(o, type=CueType.MARKET, cls=CueClass.REOPEN, body=body)


def snap(state: State | None = None, cur: str = "s") -> list[dict[str, Any]]:
    return [dict(piece.map) for piece in snapshot(state or State(Floors()), at(1), cur, 8_192)]


def begun(*frames: dict[str, Any]) -> Session:
    session = Session({"mode": "edge"})
    assert session.connected() == {"op": "sub", "mode": "edge"}
    for frame in (sub(), *snap(), beat(), *frames):
        session.receive(frame, 0)
    return session


def test_it_resumes_from_the_last_cursor_it_was_told() -> None:
    session = begun()
    assert session.connected() == {"op": "sub", "mode": "edge", "cur": "c1"}
    session.receive({"op": "bye", "code": 4412, "cur": "c2"}, 1)
    assert session.connected()["cur"] == "c2"
    session.receive(sub(), 2)
    # A snapshot that did not arrive whole is none.
    assert "cur" not in session.connected()


def test_a_repeated_cue_is_folded_and_not_shown() -> None:
    session = begun()
    assert [session.receive(cue(5), 0) for _ in range(2)] == [True, False]
    assert session.repeats == 1
    session.receive(sub(epoch="other"), 0)
    assert session.receive(cue(5), 0)


def test_an_older_revision_that_comes_behind_a_newer_one_is_folded_and_not_shown() -> None:
    """I6: a server that began anew stands further back, where the correction is not yet due."""
    first, amended = cue(5, id="nba:5", rev=1), cue(9, id="nba:5", rev=2)
    session = begun(amended)
    session.receive(sub(resumed=True), 0)
    assert not session.receive(first, 0)
    assert session.state.version > 0
    assert session.repeats == 1
    assert not session.receive(amended, 0)
    # Of who begins anew nothing is known.
    session.receive({"op": "resync", "why": "slow"}, 0)
    assert session.receive(cue(4, id="nba:5", rev=1), 0)


def test_of_the_sequencers_own_names_every_cue_is_shown() -> None:
    session = begun(cue(9, id="odds:~m1", rev=3))
    assert session.receive(cue(5, id="odds:~m1", rev=2), 0)


def test_corrections_are_remembered_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.client.MAX_SEEN", 2)
    session = begun(*(cue(n, id=f"feed:{n}", rev=2) for n in (10, 11, 12)))
    assert [session.receive(cue(n, id=f"feed:{n}", rev=1), 0) for n in (1,)] == [True]
    assert session.receive(cue(2, id="feed:10", rev=1), 0)
    assert not session.receive(cue(3, id="feed:12", rev=1), 0)


def test_offsets_are_remembered_up_to_a_limit() -> None:
    session = begun()
    one = cue(0)
    for o in range(MAX_SEEN + 1):
        session.receive({**one, "o": o}, 0)
    assert session.receive({**one, "o": 0}, 0)
    assert not session.receive({**one, "o": MAX_SEEN}, 0)


def test_silence_suspends() -> None:
    session = begun(market(0, 1))
    assert session.markets(1)["m"]["st"] == "open"
    assert session.markets(3.5)["m"]["st"] == "suspended"
    session.receive(beat(), 4)
    assert session.may_wager(4)
    session.receive(beat(may_wager=False), 5)
    assert not session.may_wager(5)
    session.receive(beat(), 6)
    session.wait_s(None, None, 0)
    assert not session.may_wager(6)
    assert Session({}).is_stale(0)


def test_a_floor_closes_until_a_reopen_above_it() -> None:
    suspend = cue_map(entry(1, None, type=CueType.SUSPEND, body={"scope": "event", "ver": 2}))
    session = begun(market(0, 1), suspend)
    assert session.markets(0)["m"]["st"] == "suspended"
    session.receive(market(2, 2), 0)
    assert session.markets(0)["m"]["st"] == "suspended"
    session.receive(market(3, 3), 0)
    assert session.markets(0)["m"]["st"] == "open"


def test_a_snapshot_is_verified_and_replaces_what_was_known() -> None:
    session = begun(market(0, 1))
    server = State(Floors())
    server.fold(entry(7, at(1), type=CueType.SCORE, body={"score": {"home": 3, "away": 1}}))
    for frame in ({"op": "resync", "why": "slow"}, *snap(server, "s2")):
        session.receive(frame, 0)
    assert session.state.visible()["score"] == {"home": 3, "away": 1}
    assert (session.markets(0), session.cur, session.mismatches) == ({}, "s2", 0)


def test_safety_that_overtakes_a_snapshot_counts() -> None:
    session = Session({})
    session.connected()
    first = cue_map(entry(1, None, type=CueType.SUSPEND, body={"ver": 9}))
    for frame in (sub(), first, *snap()):
        session.receive(frame, 0)
    assert (session.state.floors.everywhere, session.mismatches) == (9, 0)


def test_a_wrong_hash_asks_for_a_snapshot_a_few_times() -> None:
    session = begun(cue(0))
    session.receive(beat(hash=session.state.hash()), 0)
    assert session.take_outgoing() == []
    session.receive(beat(hash="0" * 16), 0)
    assert session.take_outgoing() == [{"op": "unsub"}, {"op": "sub", "mode": "edge"}]
    assert not session.may_wager(0)
    for _ in range(MAX_MISMATCHES - 1):
        for frame in (sub(), *({**piece, "hash": "x"} for piece in snap())):
            session.receive(frame, 0)
    assert session.mismatches == MAX_MISMATCHES
    assert len(session.take_outgoing()) == 2
    session.connected()
    for frame in (sub(), *snap()):
        session.receive(frame, 0)
    assert session.mismatches == 0


@pytest.mark.parametrize("code", [4501, 4511, 4999, 3500])
def test_what_is_final(code: int) -> None:
    assert begun().wait_s(code, None, 0.5) is None


def test_back_off_is_full_jitter_and_obeys_the_server() -> None:
    session = begun()
    assert [session.wait_s(None, None, 1.0) for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert session.wait_s(4412, 2_500, 0.5) == 17.5
    session.receive(beat(), 0)
    assert session.wait_s(4408, 1_000, 0.0) == 1
    assert session.wait_s(1006, None, 0.5) == 0.5
