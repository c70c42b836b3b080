"""Who is let in; what is said to whom is in `test_dialogue`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hub.admission import Admission
from hub.close_codes import Bye, CloseCode
from hub.settings import HubSettings
from hub.subscriber import Phase, Subscriber
from kernel.decisions import Scope
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
