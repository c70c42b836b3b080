"""What a session is tied to: networks, classes of devices, keys."""

from __future__ import annotations

import pytest

from kernel.decisions import NOWHERE, Whence
from kernel.errors import SettingsError
from kernel.tokens import Binding, Claims, Reason
from kernel.value import replace
from relay.binding import Binder, network_of
from tests.support.tokens import KEYS, claims

IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X)"
CORE_MEDIA = "AppleCoreMedia/1.0.0.22F76 (iPhone; U; CPU OS 18_5 like Mac OS X; en_us)"
HOME = Whence("203.0.113.7", IPHONE)


def tied(binder: Binder, whence: Whence = HOME, kid: str = "k1") -> Claims:
    network, device = binder.bind(whence)
    return replace(claims(), binding=Binding(network, device, "e1"), kid=kid)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.0/24"),
        ("203.0.113.255", "203.0.113.0/24"),
        ("203.0.114.7", "203.0.114.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("2001:db8:1:ffff:1:2:3:4", "2001:db8:1::/48"),
        ("2001:db8:2::1", "2001:db8:2::/48"),
        # RFC 4291, 2.5.5.2
        ("::ffff:203.0.113.7", "203.0.113.0/24"),
        # RFC 6052, 2.1: who is behind one NAT64 is not in one place
        ("64:ff9b::203.0.113.7", "203.0.113.0/24"),
        ("64:ff9b::cb00:7207", "203.0.114.0/24"),
        ("fe80::1%eth0", "fe80::/48"),
        ("", ""),
        ("unix:", ""),
        ("203.0.113.07", ""),
        ("x" * 5000, ""),
    ],
)
def test_networks(address: str, network: str) -> None:
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("whence", "reason"),
    [
        (HOME, None),
        # Another address of the same network, and what plays for the browser
        (Whence("203.0.113.200", IPHONE), None),
        (Whence("::ffff:203.0.113.8", CORE_MEDIA), None),
        # Somewhere else
        (Whence("203.0.114.7", IPHONE), Reason.NETWORK_CHANGED),
        (Whence("2001:db8::1", IPHONE), Reason.NETWORK_CHANGED),
        (Whence("", IPHONE), Reason.NETWORK_CHANGED),
        (NOWHERE, Reason.NETWORK_CHANGED),
        # Something else
        (Whence("203.0.113.7", "curl/8.5.0"), Reason.DEVICE_CHANGED),
        (Whence("203.0.113.7", ""), Reason.DEVICE_CHANGED),
        # A socket's field says nothing of what plays.
        (Whence("203.0.113.7", None), None),
        (Whence("198.51.100.1", None), Reason.NETWORK_CHANGED),
        # The network is named first.
        (Whence("198.51.100.1", "curl/8.5.0"), Reason.NETWORK_CHANGED),
    ],
)
def test_table(whence: Whence, reason: Reason | None) -> None:
    binder = Binder(KEYS)
    for _ in range(2):
        assert binder.breach(tied(binder), whence) is reason


def test_what_is_not_tied_holds_anywhere() -> None:
    binder = Binder(KEYS)
    assert binder.breach(claims(), NOWHERE) is None
    assert binder.breach(replace(claims(), binding=Binding()), NOWHERE) is None
    network, device = binder.bind(HOME)
    only_device = replace(claims(), binding=Binding(None, device, None), kid="k1")
    assert binder.breach(only_device, HOME._replace(address="")) is None
    only_network = replace(claims(), binding=Binding(network, None, None), kid="k1")
    assert binder.breach(only_network, HOME._replace(agent="")) is None


def test_a_place_without_an_address_is_one_place() -> None:
    binder = Binder(KEYS)
    assert binder.breach(tied(binder, NOWHERE), NOWHERE) is None


def test_the_hash_is_keyed_and_short() -> None:
    network, device = Binder(KEYS).bind(HOME)
    assert (len(network), device) == (11, "phone")
    assert Binder(KEYS).bind(HOME) == (network, device)
    assert Binder({"k1": b"x" * 32}).bind(HOME)[0] != network
    assert Binder(KEYS).bind(Whence("203.0.114.7", IPHONE))[0] != network


def test_it_goes_with_the_keys() -> None:
    binder = Binder(KEYS)
    old = tied(binder)
    binder.rotate({"k2": b"n" * 32, **KEYS})
    new = tied(binder, kid="k2")
    assert new.binding != old.binding
    for one in (old, new):
        assert binder.breach(one, HOME) is None
        assert binder.breach(one, Whence("198.51.100.1", IPHONE)) is Reason.NETWORK_CHANGED
    binder.rotate({"k3": b"m" * 32, "k2": b"n" * 32})
    assert binder.breach(new, HOME) is None
    assert binder.breach(old, HOME) is Reason.NETWORK_CHANGED
    with pytest.raises(SettingsError):
        binder.rotate({})
    assert binder.breach(new, HOME) is None
