from __future__ import annotations

from lockstep import described
from lockstep.described import OPERATIONS, VendorMessage
from relay.api import read_as


def test_what_a_vendor_writes_is_any_json() -> None:
    for body in ([{"id": "p1"}], {"type": "alive"}, "x"):
        assert read_as(VendorMessage, body).root == body


def test_nobody_needs_an_operators_key_here() -> None:
    assert all(one.scope is None for one in OPERATIONS)
    assert described.TAKE_MESSAGE.security == described.SIGNATURE
