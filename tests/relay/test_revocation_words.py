from __future__ import annotations

from typing import Any

import pytest

from kernel.errors import DecodeError
from kernel.revocation import Revocation, Subject, SubjectKind
from relay.revocation_words import Page, Wanted, map_of, page_of, wanted_of
from tests.support.tokens import NOW

ANN = {"kind": "account", "value": "ann"}
HOUR = NOW + 3_600


def test_what_may_be_asked_for() -> None:
    assert wanted_of(ANN, NOW) == Wanted(Subject(SubjectKind.ACCOUNT, "ann"), "", None)
    here = {**ANN, "event_id": "game", "reason": "shared it"}
    assert wanted_of(here, NOW) == Wanted(Subject(SubjectKind.ACCOUNT, "ann", "game"), "shared it", None)
    for kind in SubjectKind:
        assert wanted_of({"kind": kind.value, "value": "x"}, NOW).subject == Subject(kind, "x")


@pytest.mark.parametrize(
    ("expires", "expected"),
    [
        (HOUR * 1000, HOUR),
        # Up to a whole minute, never down.
        (HOUR * 1000 + 1, HOUR + 60),
        ((HOUR - 59) * 1000, HOUR),
        ("2027-01-15T09:00:00Z", HOUR),
        ("2027-01-15T10:00:00+01:00", HOUR),
        ("2027-01-15T09:00:00.5Z", HOUR + 60),
        (None, None),
    ],
)
def test_when_it_ends(expires: object, expected: int | None) -> None:
    assert wanted_of({**ANN, "expires": expires}, NOW).expires == expected


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ([], "an object with `kind` and `value`"),
        ({}, "kind: use one of token, session, account, event, key"),
        ({"kind": "ip", "value": "x"}, "kind: use one of"),
        ({"kind": 7, "value": "x"}, "kind: use one of"),
        ({"kind": "token"}, "value: a text"),
        ({"kind": "token", "value": 7}, "value: a text"),
        ({"kind": "token", "value": ""}, "value: a token has 1 to 256"),
        ({"kind": "token", "value": "x" * 257}, "value: a token has 1 to 256"),
        ({"kind": "token", "value": "x", "event_id": "game"}, "only an account"),
        ({"kind": "event", "value": "no such/id"}, "value: an event id"),
        ({**ANN, "event_id": "../x"}, "event_id: an event id"),
        ({**ANN, "event_id": 5}, "event_id: an event id"),
        ({**ANN, "until": 5}, "'until' is no field"),
        ({**ANN, "reason": 5}, "reason: a text"),
        ({**ANN, "reason": "x" * 501}, "reason: a text of at most 500"),
        ({**ANN, "expires": NOW * 1000}, "expires: it must lie ahead"),
        # Seconds where ms are meant: long ago.
        ({**ANN, "expires": HOUR}, "expires: it must lie ahead, in Unix ms"),
        ({**ANN, "expires": 10**30}, "expires: it must lie ahead"),
        ({**ANN, "expires": 1.5}, "expires: Unix time in ms"),
        ({**ANN, "expires": True}, "expires: Unix time in ms"),
        ({**ANN, "expires": "tomorrow Z"}, "expires: .*no ISO 8601 date"),
        ({**ANN, "expires": "2027-01-15T09:00:00"}, "expires: a date without a zone"),
    ],
)
def test_what_is_wrong_is_named(body: object, says: str) -> None:
    with pytest.raises(DecodeError, match=says):
        wanted_of(body, NOW)


def test_pages() -> None:
    assert page_of({}) == Page(0, 100)
    assert page_of({"after": "7", "limit": "1000"}) == Page(7, 1000)


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "1001"}, {"after": "-1"}, {"after": "x"}, {"after": "9" * 5000}]
)
def test_a_wrong_page_is_said(query: dict[str, str]) -> None:
    with pytest.raises(DecodeError, match=f"{next(iter(query))}: a number from"):
        page_of(query)


def test_what_is_told() -> None:
    told: dict[str, Any] = map_of(Revocation("r", Subject(SubjectKind.KEY, "k1"), "leaked", NOW + 0.25, HOUR, "cli"))
    assert told == {
        "id": "r", "kind": "key", "value": "k1", "reason": "leaked", "made": NOW * 1000 + 250, "expires": HOUR * 1000,
        "by": "cli",
    }  # fmt: skip
    here = map_of(Revocation("r", Subject(SubjectKind.ACCOUNT, "ann", "game"), "", NOW, None, "cli"))
    assert (here["event_id"], here["expires"]) == ("game", None)
