"""What viewers' applications are told."""

from __future__ import annotations

import pytest

from kernel.blackouts import Veil, Window
from kernel.decisions import Decision, Verdict
from kernel.tokens import Purpose, Reason
from relay.place.model import Fix, Point
from relay.viewer_words import CLOCK_SKEW_S, FixBody, entitlement_told, fix_of, geo_check_told
from relay.whereabouts import FREE
from tests.support.tokens import NOW, claims


@pytest.mark.parametrize(
    ("at", "expected"),
    [(NOW - 5, NOW - 5), (NOW + 1, NOW), (NOW + CLOCK_SKEW_S, NOW), (NOW + CLOCK_SKEW_S + 1, NOW + CLOCK_SKEW_S + 1)],
)
def test_a_fix_and_its_time(at: float, expected: float) -> None:
    body = FixBody(lat=-33.5, lon=151.25, accuracy_m=4, at=int(at * 1000))
    assert fix_of(body, NOW) == Fix(Point(151.25, -33.5), 4.0, expected)


def decision(reason: Reason | None) -> Decision:
    verdict = Verdict.ADMIT if reason is None else Verdict.REFUSE
    return Decision(verdict, reason, may_watch=reason is None, may_wager=reason is None, claims=claims())


@pytest.mark.parametrize(
    ("watch", "wager", "status"),
    [
        (None, None, "allowed"),
        (None, Reason.GEO_BLOCKED, "allowed"),
        (Reason.GEO_BLOCKED, None, "blocked"),
        (Reason.SCOPE_MISSING, None, "allowed"),
        (Reason.SCOPE_MISSING, Reason.TOR, "blocked"),
    ],
)
def test_watching_decides_unless_it_is_not_what_the_token_is_for(
    watch: Reason | None, wager: Reason | None, status: str
) -> None:
    told = geo_check_told("game", decision(watch), decision(wager), FREE)
    assert told.status == status
    assert (told.watch.reason, told.wager.reason) == (watch, wager)


@pytest.mark.parametrize(
    ("redirect", "watch", "wager", "expected"),
    [
        # In force, but with a beginning: what lies before it may be had.
        (None, None, None, ("blackout", Reason.BLACKOUT, Reason.BLACKOUT)),
        (None, Reason.BLACKOUT, Reason.BLACKOUT, ("blackout", Reason.BLACKOUT, Reason.BLACKOUT)),
        ("other", None, None, ("blackout", None, Reason.BLACKOUT)),
        ("other", None, Reason.SCOPE_MISSING, ("blackout", None, Reason.SCOPE_MISSING)),
        # Whoever is refused for something else is told that.
        ("other", Reason.TOR, Reason.TOR, ("blocked", Reason.TOR, Reason.TOR)),
    ],
)
def test_a_blackout(
    redirect: str | None, watch: Reason | None, wager: Reason | None, expected: tuple[str, Reason | None, Reason | None]
) -> None:
    dark = Veil("blk_1", Window(), redirect, 1.0)
    told = geo_check_told("game", decision(watch), decision(wager), FREE, dark)
    assert (told.status, told.watch.reason, told.wager.reason) == expected
    assert told.watch.allowed is (expected[1] is None)


def test_a_lapsed_token_has_nothing_left() -> None:
    told = entitlement_told(claims(), Reason.REVOKED, Purpose.SESSION, 0, NOW)
    assert (told.status, told.remaining_s) == ("revoked", 0)
    assert entitlement_told(claims(), None, Purpose.SESSION, 0, NOW + 0.5).remaining_s == 3599
