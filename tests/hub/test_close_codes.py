from __future__ import annotations

import pytest

from hub.close_codes import CloseCode, code_of
from kernel.tokens import Reason


def test_the_ranges_say_whether_to_come_back() -> None:
    assert CloseCode.SLOW.reconnects
    assert not CloseCode.EXPIRED.reconnects
    # RFC 6455, 7.4.2: 4000-4999 are for private use.
    assert all(4400 <= code < 4600 for code in CloseCode)


def test_names_are_the_protocols() -> None:
    assert (CloseCode.BAD_FRAME.text, CloseCode.GOING_AWAY.text, CloseCode(4413).text) == (
        "bad_frame",
        "going_away",
        "overloaded",
    )


@pytest.mark.parametrize("reason", [None, *Reason])
def test_every_reason_has_a_code_that_does_not_come_back_unless_it_is_our_fault(reason: Reason | None) -> None:
    assert code_of(reason).reconnects is (reason is Reason.STALE)
    assert code_of(Reason.REVOKED) is CloseCode.REVOKED
    assert code_of(Reason.BLACKOUT) is CloseCode.BLACKOUT
    assert code_of(Reason.EXPIRED) is CloseCode.EXPIRED


def test_places_have_codes_of_their_own() -> None:
    assert code_of(Reason.OUTSIDE_TERRITORY) is CloseCode.GEO_BLOCKED
    assert code_of(Reason.GPS_STALE) is CloseCode.GEO_BLOCKED
    assert code_of(Reason.TOR) is CloseCode.VPN_BLOCKED
    assert code_of(Reason.NETWORK_CHANGED) is CloseCode.UNAUTHORIZED
