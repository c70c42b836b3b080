"""Who is let in; what is said to whom is in `test_dialogue`."""

from __future__ import annotations

import pytest

from hub.admission import Admission
from hub.close_codes import Bye, CloseCode
from hub.settings import HubSettings
from hub.subscriber import Phase, Subscriber
from kernel.decisions import NOWHERE, Decision, Ending, Scope, Verdict, Whence
from kernel.tokens import Claims, Reason
from kernel.value import replace
from tests.hub.makers import STREAM, Gate, claims

GATE = Gate(
    ann=claims(Scope.TRADING),
    bob=claims(account="bob"),
    old=claims(expires=50),
    none=replace(claims(), scopes=frozenset({"none"})),
    other=claims(event_id="other"),
)


def someone(event_id: str = STREAM) -> Subscriber:
    return Subscriber(1, event_id, HubSettings(), 0)


def refusal(one: Subscriber, token: str) -> Bye | None:
    return Admission({STREAM}, GATE).refusal(one, token, 100)


def test_any_scope_admits() -> None:
    one = someone()
    assert refusal(one, "ann") is None
    assert (one.phase, one.account, one.sees_trading) == (Phase.ADMITTED, "ann", True)


@pytest.mark.parametrize(
    ("token", "event_id", "bye"),
    [
        ("forged", STREAM, Bye(CloseCode.UNAUTHORIZED)),
        ("old", STREAM, Bye(CloseCode.EXPIRED, "expired")),
        ("none", STREAM, Bye(CloseCode.UNAUTHORIZED, "scope_missing")),
        ("ann", "other", Bye(CloseCode.UNAUTHORIZED, "wrong_event")),
        ("other", "other", Bye(CloseCode.UNAUTHORIZED, "unknown_event")),
    ],
)
def test_who_is_refused(token: str, event_id: str, bye: Bye) -> None:
    one = someone(event_id)
    assert refusal(one, token) == bye
    assert one.phase is Phase.GREETED


def test_an_account_stays_the_same() -> None:
    one = someone()
    assert refusal(one, "ann") is None
    assert refusal(one, "bob") == Bye(CloseCode.UNAUTHORIZED, "wrong_account")


def test_an_origin_is_judged_after_the_token() -> None:
    one = someone()
    one.origin_refused = True
    assert refusal(one, "forged") == Bye(CloseCode.UNAUTHORIZED)
    assert refusal(one, "ann") == Bye(CloseCode.ORIGIN_REFUSED)


ADMITTED = Decision(Verdict.ADMIT, None, True, True, claims(Scope.SERVER))


class Placed:
    """Gates that let nobody watch from Dover, and nobody wager from Calais."""

    def __call__(
        self, token: str | None, event_id: str, scope: Scope, *, now: float, whence: Whence = NOWHERE
    ) -> Decision:
        """Decide by the address alone."""
        return self.judge(claims(Scope.WATCH, Scope.WAGER), whence, scope)

    def judge(self, known: Claims, whence: Whence, scope: Scope) -> Decision:
        """Decide on claims."""
        watch = Reason.GEO_BLOCKED if whence.address == "dover" else None
        wager = Reason.OUTSIDE_TERRITORY if whence.address in ("dover", "calais") else None
        if whence.address == "paris":
            watch = Reason.VPN
        reason = {Scope.WATCH: watch, Scope.WAGER: wager}.get(scope, Reason.SCOPE_MISSING)
        verdict = Verdict.ADMIT if reason is None else Verdict.REFUSE
        return Decision(verdict, reason, watch is None, wager is None, known)


@pytest.mark.parametrize(
    ("address", "bye", "may_wager"),
    [
        ("ghent", None, True),
        # Watching and no bets
        ("calais", None, False),
        # Bets and no watching: socket and video end together
        ("paris", Bye(CloseCode.VPN_BLOCKED, "vpn"), False),
        # Neither: why there is no watching is told
        ("dover", Bye(CloseCode.GEO_BLOCKED, "geo_blocked"), False),
    ],
)
def test_place_governs_watching_and_wagering_apart(address: str, bye: Bye | None, may_wager: bool) -> None:
    one, gates = someone(), Placed()
    one.address = address
    admission = Admission({STREAM}, gates)
    assert admission.refusal(one, "any", 100) == bye
    assert one.may_wager is may_wager
    if bye is None:
        one.address = "dover"
        assert admission.review(one, gates.judge) == Bye(CloseCode.GEO_BLOCKED, "geo_blocked")
        one.address = "calais"
        assert admission.review(one, gates.judge) is None
        assert one.may_wager is False


def test_who_is_not_in_is_not_reviewed() -> None:
    assert Admission({STREAM}, Placed()).review(someone(), Placed().judge) is None


def test_a_token_for_bets_alone_is_asked_about_bets_and_a_servers_about_no_place() -> None:
    class Scoped(Placed):
        def __init__(self, *scopes: Scope) -> None:
            self.scopes = scopes

        def judge(self, known: Claims, whence: Whence, scope: Scope) -> Decision:
            if scope in self.scopes:
                return super().judge(known, whence, scope) if scope in (Scope.WATCH, Scope.WAGER) else ADMITTED
            return Decision(Verdict.REFUSE, Reason.SCOPE_MISSING, False, False, known)

    def asked(address: str, *scopes: Scope) -> Bye | None:
        one = someone()
        one.address = address
        return Admission({STREAM}, Scoped(*scopes)).refusal(one, "any", 100)

    assert asked("paris", Scope.WAGER) is None
    assert asked("calais", Scope.WAGER) == Bye(CloseCode.GEO_BLOCKED, "outside_territory")
    assert asked("dover", Scope.SERVER) is None
    assert asked("dover", Scope.WATCH, Scope.SERVER) is None
    assert asked("dover") == Bye(CloseCode.UNAUTHORIZED, "scope_missing")


def ending(verdict: Verdict) -> Decision:
    return Decision(verdict, Reason.EVICTED, True, True, claims(), ending=Ending(5_000, "CATEGORY_ERROR", "s2"))


def test_a_session_that_has_to_go_is_let_in_with_a_warning_and_then_told_why() -> None:
    one = someone()

    def admit(*_: object, **__: object) -> Decision:
        return ending(Verdict.WARN)

    admission = Admission({STREAM}, admit)
    assert admission.refusal(one, "ann", 100) is None
    assert one.ending == Ending(5_000, "CATEGORY_ERROR", "s2")
    told = admission.review(one, lambda *_: ending(Verdict.REFUSE))
    assert told == Bye(CloseCode.EVICTED, "CATEGORY_ERROR")
