"""Tokens as they are issued: JWT with HS256 (RFC 7519, RFC 7515), two live keys by `kid`; what they say.

PyJWT writes them, here and nowhere else. They are read by `relay/token_verifier.py`, on the hot path, by rules of its
own; the suite holds the two against each other. Those of other issuers are read by `relay/issuer_verifier.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

import jwt

from kernel.errors import SettingsError
from kernel.value import Value

MAX_TOKEN_CHARS = 4096
"""Verification costs time in proportion to the length, before the signature is known: 1 MB takes 38 ms."""

MIN_KEY_BYTES = 32
"""RFC 7518, 3.2: a key of the same size as the hash output, or larger."""

MAX_KEYS = 2
"""One that signs, and one that did before it: with more, a key that leaked would never be gone."""


class Purpose(StrEnum):
    """What a token is for, its claim `typ`: one that is for one thing is nothing where another is asked for.

    RFC 8725, 3.12: kinds of tokens under one key must exclude each other. An entitlement says what was bought and
    admits to nothing: it is exchanged for a session. What players hand back with their events admits to nothing either.
    """

    SESSION = "session"
    ENTITLEMENT = "entitlement"
    PLAYER_EVENT = "player_event"


class Reason(StrEnum):
    """Why a request is refused; strangers are told only that they are."""

    MISSING_TOKEN = "missing_token"  # noqa: S105 - a reason, not a secret
    BAD_TOKEN = "bad_token"  # noqa: S105 - a reason, not a secret
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"
    WRONG_EVENT = "wrong_event"
    OUTSIDE_WINDOW = "outside_window"
    SCOPE_MISSING = "scope_missing"
    REVOKED = "revoked"
    WRONG_PURPOSE = "wrong_purpose"
    STALE = "stale"
    # Of place: `relay.place` decides these.
    LOCATION_UNKNOWN = "location_unknown"
    GEO_BLOCKED = "geo_blocked"
    OUTSIDE_TERRITORY = "outside_territory"
    VPN = "vpn"
    PROXY = "proxy"
    TOR = "tor"
    DATA_CENTRE = "data_centre"
    RESIDENTIAL_PROXY = "residential_proxy"
    PRIVATE_RELAY = "private_relay"
    GPS_MISSING = "gps_missing"
    GPS_STALE = "gps_stale"
    GPS_IMPLAUSIBLE = "gps_implausible"
    GEO_MISMATCH = "geo_mismatch"
    POLICY_UNKNOWN = "policy_unknown"
    BLACKOUT = "blackout"
    # Of what a session is bound to.
    NETWORK_CHANGED = "network_changed"
    DEVICE_CHANGED = "device_changed"
    # Of how many watch.
    EVICTED = "evicted"
    SESSION_LIMIT = "session_limit"

    @property
    def is_geo(self) -> bool:
        """Return whether it says where somebody is, or that this cannot be known."""
        return self in _GEO

    @property
    def is_network(self) -> bool:
        """Return whether it says that somebody hides where they are."""
        return self in _NETWORK


_GEO = frozenset({
    Reason.LOCATION_UNKNOWN, Reason.GEO_BLOCKED, Reason.OUTSIDE_TERRITORY, Reason.GPS_MISSING, Reason.GPS_STALE,
    Reason.GPS_IMPLAUSIBLE, Reason.GEO_MISMATCH, Reason.POLICY_UNKNOWN,
})  # fmt: skip
_NETWORK = frozenset({
    Reason.VPN, Reason.PROXY, Reason.TOR, Reason.DATA_CENTRE, Reason.RESIDENTIAL_PROXY, Reason.PRIVATE_RELAY,
})  # fmt: skip


class Binding(NamedTuple):
    """What a session is tied to, where it was made of an entitlement; each may be absent.

    `network` is the keyed hash of the client's network, `device` its class of device (`relay/binding.py`);
    `entitlement` is the entitlement's `jti`: who revokes that ends the session.
    """

    network: str | None = None
    device: str | None = None
    entitlement: str | None = None


class Claims(Value, frozen=True, eq=False):
    """What a token says, checked for presence and type. Equal are those that say the same, whatever their key.

    Times are Unix seconds. `window` is the entitlement window, start and end, both inclusive of the start only.
    `geo` names the policy of place, `fingerprint` is the hash of the device's; both may be absent. `kid` is the key
    that the signature held under, empty before there is one; it is no claim.
    """

    jti: str
    account: str
    event_id: str
    not_before: int
    expires: int
    window: tuple[int, int]
    session: str
    scopes: frozenset[str]
    # What a process knows of their session, found by them without looking for it: no claims, and nobody's but theirs
    # who put it there (`relay/sessions/seats.py`, `relay/leaks/record.py`; `kernel.value.set_aside`). They stand here
    # for being in memory beside what the gate has just looked at. A copy that speaks of another session must have None.
    seat: Any = None
    fetches: Any = None
    purchase: str | None = None
    geo: str | None = None
    fingerprint: str | None = None
    binding: Binding | None = None
    # Which key it was verified by. What the token says is the same under any.
    kid: str = ""
    # Where the account is at home: a country and its postcode, "US-90012".
    home: str | None = None
    # What was subscribed to: sessions are counted by it (`relay/sessions/limits.py`).
    plan: str | None = None
    # How many streams the account has, by entitlement; under an empty name over all (`relay/stream_count/`).
    streams: tuple[tuple[str, int], ...] = ()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Claims):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in _CLAIMS)

    def __hash__(self) -> int:
        return hash((self.jti, self.session))

    def reason_at(self, now: float, event_id: str, scope: str) -> Reason | None:
        """Return why these claims do not admit to `event_id` for `scope` at `now`, or None if they do."""
        if now >= self.expires:
            return Reason.EXPIRED
        if now < self.not_before:
            return Reason.NOT_YET_VALID
        if self.event_id != event_id:
            return Reason.WRONG_EVENT
        if not self.window[0] <= now < self.window[1]:
            return Reason.OUTSIDE_WINDOW
        if scope not in self.scopes:
            return Reason.SCOPE_MISSING
        return None

    @property
    def ends(self) -> int:
        """Return when these claims cease to admit, whatever comes first, in Unix seconds."""
        return min(self.expires, self.window[1])


_CLAIMS = tuple(name for name in Claims.__struct_fields__ if name not in {"kid", "seat", "fetches"})


def checked_keys(keys: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """Return the keys, secret by key id, if tokens can be signed with them.

    Raises:
        SettingsError: there is no key, there are more than two, or one is too short.
    """
    if not 1 <= len(keys) <= MAX_KEYS:
        raise SettingsError(f"one or two signing keys are live at a time, not {len(keys)}")
    for kid, key in keys.items():
        if len(key) < MIN_KEY_BYTES:
            raise SettingsError(f"signing key {kid!r} has {len(key)} bytes: use at least {MIN_KEY_BYTES}")
    return dict(keys)


class Keyring:
    """Issue tokens.

    Args:
        keys: secret by key id, each of at least 32 bytes; the first one signs.

    Raises:
        SettingsError: as `checked_keys`.
    """

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._keys = checked_keys(keys)
        self.signing_kid = next(iter(self._keys))

    def issue(self, claims: Claims, purpose: Purpose = Purpose.SESSION) -> str:
        """Return a signed token that says `claims`."""
        payload: dict[str, Any] = {
            "typ": str(purpose),
            "jti": claims.jti,
            "sub": claims.account,
            "evt": claims.event_id,
            "nbf": claims.not_before,
            "exp": claims.expires,
            "win": list(claims.window),
            "sid": claims.session,
            "scp": sorted(claims.scopes),
        }
        net, dev, ent = claims.binding or Binding()
        optional = {
            "pid": claims.purchase, "geo": claims.geo, "fph": claims.fingerprint, "net": net, "dev": dev, "ent": ent,
            "hzp": claims.home, "pln": claims.plan, "stc": [list(one) for one in claims.streams] or None,
        }  # fmt: skip
        return self.sign({**payload, **{name: value for name, value in optional.items() if value is not None}})

    def sign(self, payload: Mapping[str, Any]) -> str:
        """Return a token with any payload, whether or not a verifier would take it.

        Raises:
            TypeError: the payload cannot be written as JSON, or PyJWT does not sign such a claim.
        """
        kid = self.signing_kid
        return jwt.encode(dict(payload), self._keys[kid], algorithm="HS256", headers={"kid": kid})
