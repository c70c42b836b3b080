from __future__ import annotations

from itertools import count

import pytest

from lockstep.console.logins import IDLE_S, LIFE_S, MAX_LOGINS, Logins
from relay.operators import Operator, Operators, OperatorScope, digest_of, operator_key

KEY, OTHER = operator_key(bytes(32)), operator_key(bytes(31) + b"\1")
OPS = Operator("ops", digest_of(KEY), frozenset({OperatorScope.READ}), expires=10_000.0)


class Rig:
    def __init__(self) -> None:
        self.operators = Operators([OPS])
        numbers = count()
        self.logins = Logins(self.operators, new_id=lambda: f"{next(numbers):043}", secret=bytes(32))

    def begin(self, now: float = 0.0) -> str:
        name = self.logins.begin(KEY, wall=1.0, now=now)
        assert name is not None
        return name

    def who(self, name: str | None, now: float = 0.0, wall: float = 1.0) -> str | None:
        operator = self.logins.find(name, wall=wall, now=now)
        return None if operator is None else operator.name


def test_a_key_begins_a_login_and_nothing_else_does() -> None:
    rig = Rig()
    name = rig.begin()
    assert rig.who(name) == "ops"
    assert rig.logins.begin(OTHER, wall=1.0, now=0.0) is None
    assert rig.logins.begin("", wall=1.0, now=0.0) is None
    assert [rig.who(one) for one in (None, "", "x" * 43, name + "x", "\0" * 43)] == [None] * 5


def test_an_identifier_from_before_is_not_the_one_of_the_login() -> None:
    rig = Rig()
    visit = rig.logins.visit(None)
    assert rig.logins.visit(visit) == visit
    assert rig.logins.visit("planted") != "planted"
    assert rig.begin() != visit
    assert rig.who(visit) is None


def test_it_ends_an_hour_after_the_last_request() -> None:
    rig = Rig()
    name = rig.begin()
    assert rig.who(name, now=IDLE_S - 1) == "ops"
    assert rig.who(name, now=2 * IDLE_S - 2) == "ops"
    assert rig.who(name, now=3 * IDLE_S) is None
    assert rig.who(name, now=3 * IDLE_S) is None


def test_it_ends_twelve_hours_after_it_began() -> None:
    rig = Rig()
    name = rig.begin()
    for now in range(0, int(LIFE_S), 1_800):
        assert rig.who(name, now=float(now)) == "ops"
    assert rig.who(name, now=LIFE_S) is None


def test_it_ends_by_logging_out() -> None:
    rig = Rig()
    name = rig.begin()
    rig.logins.end(name)
    rig.logins.end(None)
    assert rig.who(name) is None


def test_it_ends_with_its_key() -> None:
    rig = Rig()
    name, other = rig.begin(), rig.begin()
    assert rig.who(other, wall=10_001.0) is None
    rig.operators.replace([Operator("ops", digest_of(OTHER), OPS.scopes)])
    assert rig.who(name) is None


def test_there_are_only_so_many_and_the_idlest_goes() -> None:
    rig = Rig()
    names = [rig.begin() for _ in range(MAX_LOGINS)]
    assert rig.who(names[0]) == "ops"
    rig.begin()
    assert len(rig.logins) == MAX_LOGINS
    assert rig.who(names[0]) == "ops"
    assert rig.who(names[1]) is None
    rig.begin(now=IDLE_S)
    assert len(rig.logins) == 1


@pytest.mark.parametrize("token", ["", "0" * 64, "ü"])
def test_a_form_s_token_belongs_to_one_identifier(token: str) -> None:
    rig = Rig()
    name, other = rig.begin(), rig.begin()
    assert rig.logins.is_token(name, rig.logins.token(name))
    assert not rig.logins.is_token(name, rig.logins.token(other))
    assert not rig.logins.is_token(name, token)
    assert not rig.logins.is_token(None, rig.logins.token(name))
