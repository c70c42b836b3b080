from __future__ import annotations

import hashlib

import pytest

from relay.operators import Operator, Operators, OperatorScope, digest_of, operator_key

NOW = 1_000.0
ANN, BOB = operator_key(b"a" * 32), operator_key(b"b" * 32)
KNOWN = Operators(
    [
        Operator("ann", digest_of(ANN), frozenset(OperatorScope)),
        Operator("bob", digest_of(BOB), frozenset({OperatorScope.READ})),
    ]
)


def test_a_key_is_its_owners() -> None:
    for key, name in ((ANN, "ann"), (BOB, "bob")):
        found = KNOWN.find(key, now=NOW)
        assert found is not None
        assert found.name == name


@pytest.mark.parametrize(
    "key",
    [None, "", "lko_", ANN[:-1], ANN + "A", ANN.swapcase(), ANN[4:], operator_key(b"c" * 32), ANN + "\n", "lkö_" + ANN],
)
def test_anything_else_is_nobodys(key: str | None) -> None:
    assert KNOWN.find(key, now=NOW) is None


def test_a_key_is_recognised_by_its_prefix_and_kept_as_a_hash() -> None:
    assert ANN.startswith("lko_")
    assert len(ANN) == 47
    assert digest_of(ANN) == hashlib.sha256(ANN.encode()).digest()


def test_what_is_no_key_is_said() -> None:
    with pytest.raises(ValueError, match="32 random bytes, not 16"):
        operator_key(b"x" * 16)
    with pytest.raises(ValueError, match="lko_ and 43"):
        digest_of("secret")


def test_a_key_ends_when_it_expires() -> None:
    known = Operators([Operator("ann", digest_of(ANN), frozenset(OperatorScope), NOW)])
    assert known.find(ANN, now=NOW - 0.001) is not None
    assert known.find(ANN, now=NOW) is None


def test_whoever_is_replaced_is_nobody() -> None:
    known = Operators([Operator("ann", digest_of(ANN), frozenset(OperatorScope))])
    known.replace([Operator("bob", digest_of(BOB), frozenset(OperatorScope))])
    assert known.find(ANN, now=NOW) is None
    assert known.find(BOB, now=NOW) is not None


def test_all_are_compared_whichever_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(one)
        return one == other

    monkeypatch.setattr("relay.operators.hmac.compare_digest", compare)
    for key in (ANN, BOB, operator_key(b"c" * 32)):
        KNOWN.find(key, now=NOW)
    assert compared == [digest_of(ANN), digest_of(BOB)] * 3
