"""What a session is tied to: the network and the class of device by which its entitlement was brought.

A network is an IPv4 /24 or an IPv6 /48: a phone that gets a new address from its cell, or a home from its line, stays
in it; a link that is handed on does not. Where IPv6 carries an IPv4, that one counts (`relay/place/addresses.py`). In
the token stands a hash of 64 bits, keyed with a secret that is derived from the key that signs the token: whoever reads
a token learns no address, and cannot try all of them out either.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

from kernel.decisions import Whence
from kernel.tokens import Claims, Reason, checked_keys
from relay.devices import MAX_AGENT_CHARS, device_of
from relay.place.addresses import read_address

IPV4_PREFIX = 24
IPV6_PREFIX = 48
"""What a site is given (RFC 6177), and what a carrier moves a phone about in."""

MAX_KEPT = 16_384
"""How many of those who are watching are remembered: key id, address and User-Agent, 1.5 kB each at most."""

_DIGEST_BYTES = 8
_LABEL = b"lockstep: networks of sessions"


class Binder:
    """Tie sessions to where they were begun, and tell when they are somewhere else.

    Args:
        keys: secret by key id, as tokens are signed with; the first one signs.

    Raises:
        SettingsError: the keys are none that tokens may be signed with.
    """

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._secrets: dict[str, bytes] = {}
        self._signing = ""
        self._known = lru_cache(maxsize=MAX_KEPT)(self._made)
        self.rotate(keys)

    def rotate(self, keys: Mapping[str, bytes]) -> None:
        """Go on with `keys`, as tokens do. What a key tied that is kept stays tied.

        Raises:
            SettingsError: the keys are none that tokens may be signed with; the former ones stay.
        """
        known = checked_keys(keys)
        self._secrets = {kid: hmac.digest(secret, _LABEL, "sha256") for kid, secret in known.items()}
        self._signing = next(iter(known))
        self._known.cache_clear()

    def bind(self, whence: Whence) -> tuple[str, str]:
        """Return the claims `net` and `dev` for a session that is begun from there, under the key that signs now."""
        return self._known(self._signing, whence.address, (whence.agent or "")[:MAX_AGENT_CHARS])

    def breach(self, claims: Claims, whence: Whence) -> Reason | None:
        """Return what of a session's binding does not hold for a request from there, or None.

        Claims that are tied to nothing hold anywhere.
        """
        binding = claims.binding
        if binding is None:
            return None
        here = self._known(claims.kid, whence.address, (whence.agent or "")[:MAX_AGENT_CHARS])
        if binding.network is not None and binding.network != here[0]:
            return Reason.NETWORK_CHANGED
        if binding.device is not None and whence.agent is not None and binding.device != here[1]:
            return Reason.DEVICE_CHANGED
        return None

    def _made(self, kid: str, address: str, agent: str) -> tuple[str, str]:
        device, secret = str(device_of(agent)), self._secrets.get(kid)
        if secret is None:
            # What a key tied that is gone nobody can check any more: no hash is empty. Its tokens are strangers' too.
            return "", device
        digest = hashlib.blake2b(network_of(address).encode(), key=secret, digest_size=_DIGEST_BYTES).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), device


def network_of(address: str) -> str:
    """Return the network that counts for an address, empty where there is none: what is no address is one place."""
    known = read_address(address)
    if known is None:
        return ""
    if known.is_ipv4:
        return f"{IPv4Address(known.number >> 32 - IPV4_PREFIX << 32 - IPV4_PREFIX)}/{IPV4_PREFIX}"
    return f"{IPv6Address(known.number >> 128 - IPV6_PREFIX << 128 - IPV6_PREFIX)}/{IPV6_PREFIX}"
