from __future__ import annotations

import pytest

from lockstep.console.watching import MAX_LATELY, Lately, rows_of, why_of
from relay.sessions.model import Leaving, Order, Session
from relay.sessions.policies import SessionPolicies
from relay.sessions.policy_text import SessionPolicy

NOW_MS = 1_790_000_000_000
USUAL = SessionPolicies()
ABOUT = '{"device":"phone","network":"192.0.2.0/24","place":"Pasadena, US-CA"}'


def session(name: str, *keys: str, began_ms: int = 0, leaving: Leaving | None = None, about: str = "{}") -> Session:
    return Session("ann", name, "game", NOW_MS - 60_000 + began_ms, NOW_MS - 3_000, 0, 30_000, keys, about, leaving)


def test_a_session_s_row() -> None:
    (row,) = rows_of([session("a", "event:game", about=ABOUT)], USUAL, now_ms=NOW_MS)
    assert (row.device, row.network, row.place) == ("phone", "192.0.2.0/24", "Pasadena, US-CA")
    assert (row.since_ms, row.quiet_ms, row.left_ms) == (60_000, 3_000, None)
    assert (row.turn, row.counted_by) == (1, ("event:game",))


def test_who_has_to_go_has_a_grace_and_a_reason() -> None:
    leaving = Leaving(NOW_MS + 4_000, "session_limit", "event:game", "b", NOW_MS + 9_000)
    (row,) = rows_of([session("a", "event:game", leaving=leaving)], USUAL, now_ms=NOW_MS)
    assert (row.left_ms, row.turn, row.by) == (4_000, None, "b")
    assert row.why == "more sessions than are allowed at a time"
    (row,) = rows_of([session("a", leaving=leaving)], USUAL, now_ms=NOW_MS + 5_000)
    assert row.left_ms == 0


@pytest.mark.parametrize(
    ("order", "turns"),
    [
        (Order.OLDEST_FIRST, [1, None, 2]),
        (Order.NEWEST_FIRST, [2, None, 1]),
        (Order.REJECT, [None, None, None]),
    ],
)
def test_in_which_order_they_go(order: Order, turns: list[int | None]) -> None:
    here = [session("a", "event:game"), session("b"), session("c", "event:game", began_ms=5)]
    assert [row.turn for row in rows_of(here, SessionPolicies(SessionPolicy(3, order)), now_ms=NOW_MS)] == turns


def test_lately_the_last_comes_first_and_so_many_are_remembered() -> None:
    lately = Lately()
    for number in range(MAX_LATELY + 5):
        lately.heard(["refused", "ann", str(number), "game", 0, "session_limit", "event:game", "", 0], now_ms=number)
    found = list(lately)
    assert len(found) == MAX_LATELY
    assert (found[0].session, found[-1].session) == (str(MAX_LATELY + 4), "5")
    assert found[0].why == "more sessions than are allowed at a time"


@pytest.mark.parametrize("record", [[], ["leaving"], ["released", "a", "s", "", 0, "", "", "", 0], ["x"] * 9])
def test_what_is_not_understood_is_passed_by(record: list[object]) -> None:
    lately = Lately()
    lately.heard(record, now_ms=0)
    assert list(lately) == []


def test_what_comes_from_elsewhere_is_bounded_and_codes_of_others_are_told() -> None:
    lately = Lately()
    lately.heard(["leaving", "a" * 9_999, "s", "game", 0, "OTHER_ERROR", "k", "b", 0], now_ms=0)
    (one,) = lately
    assert len(one.account) == 255
    assert (one.why, why_of("kicked")) == ("OTHER_ERROR", "sent away by an operator")
