from __future__ import annotations

import pytest

from kernel.decisions import Scope, Verdict
from kernel.tokens import Keyring, Reason
from relay.gate import Gate, decide
from tests.support.tokens import KEYS, NOW, cache, claims, token

GATE = Gate(cache())


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
    decision = decide(claims(scopes=frozenset({"watch"})), "game", Scope.WATCH, now=NOW)
    assert (decision.may_watch, decision.may_wager) == (True, False)


def test_a_remembered_token_is_judged_anew_each_time() -> None:
    """Replay: what was admitted a moment ago is refused elsewhere, later, and for more than it says."""
    gate = Gate(cache())
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
    gate = Gate(tokens)
    assert gate(token(), "game", Scope.WATCH, now=NOW).admitted
    tokens.rotate({"k2": b"n" * 32, **KEYS})
    assert gate(token(), "game", Scope.WATCH, now=NOW).admitted
    tokens.rotate({"k3": b"m" * 32, "k2": b"n" * 32})
    decision = gate(token(), "game", Scope.WATCH, now=NOW)
    assert (decision.reason, decision.claims) == (Reason.BAD_TOKEN, None)
