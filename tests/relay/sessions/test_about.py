from __future__ import annotations

from kernel.decisions import Whence
from relay.place.model import IpPlace, known_place
from relay.sessions.about import about_of
from tests.support.tokens import claims

PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X)"


def test_of_an_address_only_its_network_is_kept() -> None:
    place = known_place("203.0.113.7", country="US", region="US-CA", city="Pasadena")
    assert about_of(claims(fingerprint="abc"), Whence("203.0.113.7", PHONE), place) == {
        "device": "phone", "network": "203.0.113.0/24", "place": "Pasadena, US-CA", "fingerprint": "abc",
    }  # fmt: skip


def test_what_is_not_known_is_left_out() -> None:
    assert about_of(claims(), Whence("", None), IpPlace("")) == {}
    assert about_of(claims(), Whence("2001:db8::1", ""), known_place("2001:db8::1", country="GB")) == {
        "device": "other", "network": "2001:db8::/48", "place": "GB",
    }  # fmt: skip
