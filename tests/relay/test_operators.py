from __future__ import annotations

import hashlib

import pytest

from relay.operators import Operator, Operators, OperatorScope, digest_of, operator_key

ANN, BOB = operator_key(b"a" * 32), operator_key(b"b" * 32)
KNOWN = Operators(
    [
        Operator("ann", digest_of(ANN), frozenset(OperatorScope)),
        Operator("bob", digest_of(BOB), frozenset({OperatorScope.READ})),
    ]
)


def test_a_key_is_its_owners() -> None:
    for key, name in ((ANN, "ann"), (BOB, "bob")):
        found = KNOWN.find(key)
        assert found is not None
        assert found.name == name


@pytest.mark.parametrize(
    "key",
    [None, "", "lko_", ANN[:-1], ANN + "A", ANN.swapcase(), ANN[4:], operator_key(b"c" * 32), ANN + "\n", "lkö_" + ANN],
)
def test_anything_else_is_nobodys(key: str | None) -> None:
    assert KNOWN.find(key) is None


def test_a_key_is_recognised_by_its_prefix_and_kept_as_a_hash() -> None:
    assert ANN.startswith("lko_")
    assert len(ANN) == 47
    assert digest_of(ANN) == hashlib.sha256(ANN.encode()).digest()


def test_what_is_no_key_is_said() -> None:
    with pytest.raises(ValueError, match="32 random bytes, not 16"):
        operator_key(b"x" * 16)
    with pytest.raises(ValueError, match="lko_ and 43"):
        digest_of("secret")
