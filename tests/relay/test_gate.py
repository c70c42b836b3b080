from __future__ import annotations

import pytest

from kernel.decisions import Scope, Verdict
from kernel.revocation import Reinstatement, Revocation, RevocationIndex, Subject, SubjectKind
from kernel.tokens import Keyring, Reason
from relay.gate import Gate, StaleLimits
from tests.support.tokens import KEYS, NOW, cache, claims, token

GATE = Gate(cache(), RevocationIndex())


def test_a_good_token_admits() -> None:
    decision = GATE(token(), "game", Scope.WATCH, now=NOW)
    assert decision.verdict is Verdict.ADMIT
    assert decision.admitted
    assert (decision.may_watch, decision.may_wager, decision.reason) == (True, True, None)
    assert decision.claims == claims()


@pytest.mark.parametrize("text", [None, "", "x", "a.b.c", token() + "=", token()[:-2], "e" * 5000])
def test_a_strangers_token_yields_no_claims(text: str | None) -> None:
    decision = GATE(text, "game", Scope.WATCH, now=NOW)
    assert not decision.admitted
    assert decision.claims is None
    assert decision.reason is (Reason.BAD_TOKEN if text else Reason.MISSING_TOKEN)


def test_a_token_of_another_deployment_is_a_strangers() -> None:
    other = Keyring({"k1": b"o" * 32}).issue(claims())
    assert GATE(other, "game", Scope.WATCH, now=NOW).claims is None


@pytest.mark.parametrize(
    ("changes", "event_id", "scope", "now", "reason"),
    [
        # The token's own validity
        ({}, "game", Scope.WATCH, NOW + 3600, Reason.EXPIRED),
        ({}, "game", Scope.WATCH, NOW - 11, Reason.NOT_YET_VALID),
        # What it is for
        ({}, "other", Scope.WATCH, NOW, Reason.WRONG_EVENT),
        ({"window": (NOW + 5, NOW + 9)}, "game", Scope.WATCH, NOW, Reason.OUTSIDE_WINDOW),
        ({"window": (NOW - 9, NOW)}, "game", Scope.WATCH, NOW, Reason.OUTSIDE_WINDOW),
        ({"scopes": frozenset({"wager"})}, "game", Scope.WATCH, NOW, Reason.SCOPE_MISSING),
        ({}, "game", Scope.SERVER, NOW, Reason.SCOPE_MISSING),
        # Two things at once: the first in order is told
        ({}, "other", Scope.WATCH, NOW + 3600, Reason.EXPIRED),
    ],
)
def test_who_holds_a_signature_learns_why(
    changes: dict[str, object], event_id: str, scope: Scope, now: float, reason: Reason
) -> None:
    decision = GATE(token(**changes), event_id, scope, now=now)
    assert decision.verdict is Verdict.REFUSE
    assert decision.reason is reason
    assert decision.claims is not None
    assert not decision.may_watch


def test_scopes_govern_what_may_be_done() -> None:
    decision = GATE.decide(claims(scopes=frozenset({"watch"})), "game", Scope.WATCH, now=NOW)
    assert (decision.may_watch, decision.may_wager) == (True, False)


def test_a_remembered_token_is_judged_anew_each_time() -> None:
    """Replay: what was admitted a moment ago is refused elsewhere, later, and for more than it says."""
    gate = Gate(cache(), RevocationIndex())
    text = token(scopes=frozenset({"watch"}))
    for _ in range(2):
        assert gate(text, "game", Scope.WATCH, now=NOW).admitted
        assert gate(text, "other", Scope.WATCH, now=NOW).reason is Reason.WRONG_EVENT
        assert gate(text, "game", Scope.WAGER, now=NOW).reason is Reason.SCOPE_MISSING
        assert gate(text, "game", Scope.WATCH, now=NOW - 60).reason is Reason.NOT_YET_VALID
    for _ in range(2):
        assert gate(text, "game", Scope.WATCH, now=NOW + 3600).reason is Reason.EXPIRED


def test_a_key_that_is_dropped_ends_what_it_signed() -> None:
    tokens = cache()
    gate = Gate(tokens, RevocationIndex())
    assert gate(token(), "game", Scope.WATCH, now=NOW).admitted
    tokens.rotate({"k2": b"n" * 32, **KEYS})
    assert gate(token(), "game", Scope.WATCH, now=NOW).admitted
    tokens.rotate({"k3": b"m" * 32, "k2": b"n" * 32})
    decision = gate(token(), "game", Scope.WATCH, now=NOW)
    assert (decision.reason, decision.claims) == (Reason.BAD_TOKEN, None)


@pytest.mark.parametrize(
    "subject",
    [
        Subject(SubjectKind.TOKEN, "token-1"),
        Subject(SubjectKind.SESSION, "session-1"),
        Subject(SubjectKind.ACCOUNT, "ann"),
        Subject(SubjectKind.ACCOUNT, "ann", "game"),
        Subject(SubjectKind.EVENT, "game"),
        # The key that the token was verified by, not one that it speaks of.
        Subject(SubjectKind.KEY, "k1"),
    ],
)
def test_what_is_revoked_is_refused_until_it_is_undone(subject: Subject) -> None:
    index = RevocationIndex()
    gate = Gate(cache(), index)
    assert gate(token(), "game", Scope.WATCH, now=NOW).admitted
    index.apply(Revocation("r", subject, "", NOW, None, "ops"))
    decision = gate(token(), "game", Scope.WATCH, now=NOW)
    assert (decision.verdict, decision.reason) == (Verdict.REFUSE, Reason.REVOKED)
    assert decision.claims == claims()
    index.apply(Reinstatement("r", subject))
    assert gate(token(), "game", Scope.WATCH, now=NOW).admitted


def test_the_window_is_told_before_the_revocation() -> None:
    index = RevocationIndex()
    index.apply(Revocation("r", Subject(SubjectKind.EVENT, "game"), "", NOW, None, "ops"))
    assert Gate(cache(), index)(token(), "game", Scope.WATCH, now=NOW + 3600).reason is Reason.EXPIRED


class Lag:
    """How long the bus has been away."""

    s = 0.0

    def __call__(self) -> float:
        return self.s


def test_without_the_bus_nobody_new_is_admitted_and_after_a_while_nobody() -> None:
    lag = Lag()
    gate = Gate(cache(), RevocationIndex(), lag_s=lag, limits=StaleLimits(admission_s=5, running_s=60))
    mine, other = token(), token(session="session-2")
    assert gate(mine, "game", Scope.WATCH, now=NOW).admitted
    for lag_s, expected in ((5.0, (True, True)), (5.1, (True, True)), (60.0, (True, True)), (60.1, (False, False))):
        lag.s = lag_s
        assert tuple(gate(one, "game", Scope.WATCH, now=NOW).admitted for one in (mine, other)) == expected


def test_who_comes_first_when_the_bus_is_away_comes_too_late() -> None:
    lag = Lag()
    gate = Gate(cache(), RevocationIndex(), lag_s=lag)
    gate(token(), "game", Scope.WATCH, now=NOW)
    lag.s = 6
    new = gate(token(session="session-2"), "game", Scope.WATCH, now=NOW)
    assert (new.verdict, new.reason) == (Verdict.REFUSE, Reason.STALE)
    assert gate(token(), "game", Scope.WATCH, now=NOW).admitted
    lag.s = 0
    assert gate(token(session="session-2"), "game", Scope.WATCH, now=NOW).admitted


def test_before_the_bus_has_been_heard_nobody_is_admitted() -> None:
    gate = Gate(cache(), RevocationIndex(), lag_s=lambda: float("inf"))
    assert gate(token(), "game", Scope.WATCH, now=NOW).reason is Reason.STALE


def test_decisions_are_counted_by_reason_and_timed() -> None:
    ticks = iter([10.0, 10.002, 20.0, 20.0, 30.0, 30.0])
    gate = Gate(cache(), RevocationIndex(), clock=lambda: next(ticks))
    gate(token(), "game", Scope.WATCH, now=NOW)
    gate(token(), "other", Scope.WATCH, now=NOW)
    gate(None, "game", Scope.WAGER, now=NOW)
    assert gate.decisions[Scope.WATCH][None] == gate.decisions[Scope.WATCH][Reason.WRONG_EVENT] == 1
    assert gate.decisions[Scope.WAGER][Reason.MISSING_TOKEN] == 1
    assert sum(sum(counts.values()) for counts in gate.decisions.values()) == 3
    assert gate.took.count == 3
    assert gate.took.total == pytest.approx(0.002)
    # A look at a body that is on its way is no request.
    gate.decide(claims(), "game", Scope.WATCH, now=NOW)
    assert gate.took.count == 3
