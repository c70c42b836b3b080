from __future__ import annotations

import pytest

from kernel.errors import DecodeError
from kernel.revocation import Revocation, Subject, SubjectKind
from relay.api import read_as
from relay.revocation_words import RevocationBody, Wanted, told_of, wanted_of
from tests.support.tokens import NOW

ANN = {"kind": "account", "value": "ann"}
HOUR = NOW + 3_600


def wanted(body: object) -> Wanted:
    return wanted_of(read_as(RevocationBody, body), NOW)


def test_what_may_be_asked_for() -> None:
    assert wanted(ANN) == Wanted(Subject(SubjectKind.ACCOUNT, "ann"), "", None)
    here = {**ANN, "event_id": "game", "reason": "shared it"}
    assert wanted(here) == Wanted(Subject(SubjectKind.ACCOUNT, "ann", "game"), "shared it", None)
    for kind in SubjectKind:
        assert wanted({"kind": kind.value, "value": "x"}).subject == Subject(kind, "x")


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
    assert wanted({**ANN, "expires": expires}).expires == expected


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ([], "valid dictionary"),
        ({}, "kind: Field required; value: Field required"),
        ({"kind": "ip", "value": "x"}, "kind: Input should be 'token', 'session', 'account', 'event' or 'key'"),
        ({"kind": 7, "value": "x"}, "kind: Input should be 'token'"),
        ({"kind": "token"}, "value: Field required"),
        ({"kind": "token", "value": 7}, "value: Input should be a valid string"),
        ({"kind": "token", "value": ""}, "value: String should have at least 1"),
        ({"kind": "token", "value": "x" * 257}, "value: String should have at most 256"),
        ({"kind": "token", "value": "x", "event_id": "game"}, "only an account"),
        ({"kind": "event", "value": "no such/id"}, "value: an event id"),
        ({**ANN, "event_id": "../x"}, "event_id: String should match pattern"),
        ({**ANN, "event_id": "game\n"}, "event_id: String should match pattern"),
        ({**ANN, "event_id": 5}, "event_id: Input should be a valid string"),
        ({**ANN, "until": 5}, "until: there is no such field; there are event_id, expires, kind, reason, value"),
        ({**ANN, "reason": 5}, "reason: Input should be a valid string"),
        ({**ANN, "reason": "x" * 501}, "reason: String should have at most 500"),
        ({**ANN, "expires": NOW * 1000}, "expires: it must lie ahead"),
        # Seconds where ms are meant: long ago.
        ({**ANN, "expires": HOUR}, "expires: it must lie ahead, in Unix ms"),
        ({**ANN, "expires": 10**30}, "expires: it must lie ahead"),
        ({**ANN, "expires": 1.5}, "expires.int: Input should be a valid integer"),
        ({**ANN, "expires": True}, "expires.int: Input should be a valid integer"),
        ({**ANN, "expires": "tomorrow Z"}, "expires: .*no ISO 8601 date"),
        ({**ANN, "expires": "2027-01-15T09:00:00"}, "expires: a date without a zone"),
    ],
)
def test_what_is_wrong_is_named(body: object, says: str) -> None:
    with pytest.raises(DecodeError, match=says):
        wanted(body)


def test_what_is_told() -> None:
    told = told_of(Revocation("r", Subject(SubjectKind.KEY, "k1"), "leaked", NOW + 0.25, HOUR, "cli"))
    assert told.model_dump(mode="json", exclude_unset=True) == {
        "id": "r", "kind": "key", "value": "k1", "reason": "leaked", "made": NOW * 1000 + 250, "expires": HOUR * 1000,
        "by": "cli",
    }  # fmt: skip
    here = told_of(Revocation("r", Subject(SubjectKind.ACCOUNT, "ann", "game"), "", NOW, None, "cli"))
    assert (here.event_id, here.expires) == ("game", None)
