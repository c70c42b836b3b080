from __future__ import annotations

import pytest

from kernel.errors import SettingsError
from lockstep.peers import TrustedProxies, address_group
from relay.place.addresses import parse_address

X = "x-forwarded-for"


def client(
    peer: str, *values: str, networks: tuple[str, ...] = ("10.0.0.0/8", "2001:db8::/32"), hops: int = 1, header: str = X
) -> str:
    proxies = TrustedProxies(networks, hops=hops, header="forwarded" if header == "forwarded" else X)  # type: ignore[arg-type]
    return proxies.client(peer, [(b"host", b"h"), *((header.encode(), value.encode()) for value in values)])


@pytest.mark.parametrize(
    ("peer", "values", "options", "expected"),
    [
        # No proxies configured: nobody is believed
        ("10.0.0.1", ["1.2.3.4"], {"networks": ()}, "10.0.0.1"),
        ("127.0.0.1", ["1.2.3.4"], {"networks": ()}, "127.0.0.1"),
        # A peer that is not one of ours is who it is, whatever it says
        ("192.0.2.7", ["1.2.3.4"], {}, "192.0.2.7"),
        ("192.0.2.7", ["10.0.0.1"], {"hops": 8}, "192.0.2.7"),
        # A trusted one says who it is for
        ("10.0.0.1", ["1.2.3.4"], {}, "1.2.3.4"),
        ("10.0.0.1", [], {}, "10.0.0.1"),
        ("10.0.0.1", [""], {}, "10.0.0.1"),
        ("::ffff:10.0.0.1", ["1.2.3.4"], {}, "1.2.3.4"),
        ("2001:db8::1", ["2001:db9::2"], {}, "2001:db9::2"),
        # What a client wrote itself stands further left, and is not looked at
        ("10.0.0.1", ["9.9.9.9, 1.2.3.4"], {}, "1.2.3.4"),
        ("10.0.0.1", ["9.9.9.9", "1.2.3.4"], {}, "1.2.3.4"),
        ("10.0.0.1", ["9.9.9.9, 1.2.3.4"], {"hops": 8}, "1.2.3.4"),
        ("10.0.0.1", ["127.0.0.1,10.0.0.9 ,1.2.3.4"], {"hops": 8}, "1.2.3.4"),
        # Proxies in a row, at most so many
        ("10.0.0.1", ["1.2.3.4, 10.0.0.2"], {"hops": 2}, "1.2.3.4"),
        ("10.0.0.1", ["1.2.3.4, 10.0.0.2"], {"hops": 1}, "10.0.0.2"),
        ("10.0.0.1", ["1.2.3.4, 10.0.0.3, 10.0.0.2"], {"hops": 2}, "10.0.0.3"),
        ("10.0.0.1", ["1.2.3.4, 10.0.0.3, 10.0.0.2"], {"hops": 3}, "1.2.3.4"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], {"hops": 8}, "10.0.0.3"),
        # Ports and brackets, as some proxies write them
        ("10.0.0.1", ["1.2.3.4:5678"], {}, "1.2.3.4"),
        ("10.0.0.1", ["[2001:db9::2]:5678"], {}, "2001:db9::2"),
        ("10.0.0.1", ["[2001:db9::2]"], {}, "2001:db9::2"),
        ("10.0.0.1", ["::ffff:1.2.3.4"], {}, "1.2.3.4"),
        # What is no address ends the walk
        ("10.0.0.1", ["unknown"], {}, "10.0.0.1"),
        ("10.0.0.1", ["1.2.3.4, unknown"], {"hops": 8}, "10.0.0.1"),
        ("10.0.0.1", ["1.2.3.4, <script>, 10.0.0.2"], {"hops": 8}, "10.0.0.2"),
        ("10.0.0.1", ["1.2.3.4, "], {"hops": 8}, "10.0.0.1"),
        ("10.0.0.1", ["1.2.3.4.5"], {}, "10.0.0.1"),
        ("10.0.0.1", ["1.2.3.4\r\nX: y"], {}, "10.0.0.1"),
        ("10.0.0.1", ["," * 20_000], {"hops": 8}, "10.0.0.1"),
        # RFC 7239, 4 and 6
        ("10.0.0.1", ["for=1.2.3.4"], {"header": "forwarded"}, "1.2.3.4"),
        ("10.0.0.1", ['For="[2001:db9::2]:4711"'], {"header": "forwarded"}, "2001:db9::2"),
        ("10.0.0.1", ["for=9.9.9.9, for=1.2.3.4;proto=http;by=203.0.113.43"], {"header": "forwarded"}, "1.2.3.4"),
        ("10.0.0.1", ["by=203.0.113.43;for=1.2.3.4"], {"header": "forwarded"}, "1.2.3.4"),
        ("10.0.0.1", ["for=1.2.3.4, for=10.0.0.2"], {"header": "forwarded", "hops": 2}, "1.2.3.4"),
        ("10.0.0.1", ['for="_hidden"'], {"header": "forwarded"}, "10.0.0.1"),
        ("10.0.0.1", ["for=unknown"], {"header": "forwarded"}, "10.0.0.1"),
        ("10.0.0.1", ["host=h;xfor=1.2.3.4"], {"header": "forwarded"}, "10.0.0.1"),
        # Nobody at all: a socket that is gone has no peer
        ("", ["1.2.3.4"], {}, ""),
    ],
)  # fmt: skip
def test_who_is_asking(peer: str, values: list[str], options: dict[str, object], expected: str) -> None:
    assert client(peer, *values, **options) == expected  # type: ignore[arg-type]


def test_the_other_header_is_never_believed() -> None:
    """A proxy that adds to one hands the client's own text in the other on."""
    proxies = TrustedProxies(["10.0.0.0/8"])
    assert proxies.client("10.0.0.1", [(b"forwarded", b"for=9.9.9.9"), (X.encode(), b"1.2.3.4")]) == "1.2.3.4"
    assert proxies.client("10.0.0.1", [(b"forwarded", b"for=9.9.9.9")]) == "10.0.0.1"
    other = TrustedProxies(["10.0.0.0/8"], header="forwarded")
    assert other.client("10.0.0.1", [(X.encode(), b"9.9.9.9")]) == "10.0.0.1"


@pytest.mark.parametrize("network", ["*", "0.0.0.0/0", "::/0", "10.*", "10.0.0.1/8", "proxy.local", ""])
def test_everybody_and_nonsense_are_refused(network: str) -> None:
    with pytest.raises(SettingsError, match="trusted_proxies: "):
        TrustedProxies([network])


@pytest.mark.parametrize("hops", [0, 9])
def test_hops_are_bounded(hops: int) -> None:
    with pytest.raises(SettingsError, match="proxy_hops"):
        TrustedProxies(["10.0.0.0/8"], hops=hops)


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_what_is_limited_as_one(address: str, group: str) -> None:
    assert address_group(address) == group


def test_what_is_no_address() -> None:
    assert parse_address("1.2.3.4.5") is None


@pytest.mark.parametrize(
    ("header", "fields", "expected"),
    [
        (X, [("x-forwarded-proto", "https")], "https"),
        (X, [("x-forwarded-proto", "HTTPS")], "https"),
        (X, [("x-forwarded-proto", "http, https")], "https"),
        # What a client wrote itself stands further left
        (X, [("x-forwarded-proto", "https, http")], "http"),
        (X, [("x-forwarded-proto", "https"), ("x-forwarded-proto", "http")], "http"),
        (X, [], "http"),
        (X, [("x-forwarded-proto", "wss")], "http"),
        # The other header is never believed
        (X, [("forwarded", "proto=https")], "http"),
        ("forwarded", [("x-forwarded-proto", "https")], "http"),
        ("forwarded", [("forwarded", "for=1.2.3.4;proto=https")], "https"),
        ("forwarded", [("forwarded", 'for=1.2.3.4; Proto="https"; by=10.0.0.1')], "https"),
        ("forwarded", [("forwarded", "for=9.9.9.9;proto=https, for=1.2.3.4")], "http"),
    ],
)
def test_whether_a_client_speaks_tls(header: str, fields: list[tuple[str, str]], expected: str) -> None:
    proxies = TrustedProxies(["10.0.0.0/8"], header="forwarded" if header == "forwarded" else X)  # type: ignore[arg-type]
    assert proxies.scheme([(name.encode(), value.encode()) for name, value in fields]) == expected
