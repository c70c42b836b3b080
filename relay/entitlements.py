"""Entitlement tokens: what was bought, before there is a session. They admit to nothing but the exchange for a session.

Two kinds, two verifiers, chosen by the header's `alg` before anything else is done: those that our own keys signed
(HS256), and those of one other issuer (RS256, ES256, EdDSA), if one is configured. Neither verifier knows the keys of
the other (RFC 8725, 3.1).

A signature of another issuer takes 30 to 200 us to check, so what held is remembered within bounds. What did not hold
is not: it is counted against its address at the door (`lockstep/allowances.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

from kernel.decisions import Whence
from kernel.tokens import MAX_TOKEN_CHARS, Binding, Claims, Keyring, Purpose
from kernel.value import replace
from relay.binding import Binder
from relay.fingerprint import Fingerprints
from relay.issuer_verifier import IssuerVerifier, readable
from relay.sessions.stop_codes import StopCodes
from relay.token_cache import TokenCache
from relay.token_verifier import MAX_HEADERS, TokenVerifier

MAX_ENTRIES, MAX_BYTES = 8_192, 16 << 20
"""Each is asked for once or twice, at the beginning of a session."""

SKEW_S = 30
"""How far the clock of whoever verifies a session's token may be behind ours; as `lockstep token` has it."""


class Entitlements:
    """Open entitlement tokens, and begin sessions by them.

    Args:
        keys: our own, secret by key id; the first one signs.
        elsewhere: verifies the tokens of another issuer; None: there is none.
        new_id: makes unguessable ids of 128 bits.

    `player_events` opens what players hand back with their events.

    Raises:
        SettingsError: the keys are none that tokens may be signed with.
    """

    def __init__(
        self, keys: Mapping[str, bytes], elsewhere: IssuerVerifier | None = None, *, new_id: Callable[[], str]
    ) -> None:
        self._verifier = TokenVerifier(keys, Purpose.ENTITLEMENT)
        self.player_events = TokenVerifier(keys, Purpose.PLAYER_EVENT)
        self._own = TokenCache(self._verifier, max_entries=MAX_ENTRIES, max_bytes=MAX_BYTES)
        self._elsewhere = (
            None if elsewhere is None else TokenCache(elsewhere, max_entries=MAX_ENTRIES, max_bytes=MAX_BYTES)
        )
        self._ring = Keyring(keys)
        self.binder = Binder(keys)
        self.fingerprints = Fingerprints(keys)
        self.stop_codes = StopCodes(keys)
        self._new_id = new_id

    def rotate(self, keys: Mapping[str, bytes]) -> None:
        """Open by `keys` and sign with the first of them from now on.

        Raises:
            SettingsError: the keys are none that tokens may be signed with; the former ones stay.
        """
        ring = Keyring(keys)
        self._verifier.rotate(keys)
        self.player_events.rotate(keys)
        self.binder.rotate(keys)
        self.fingerprints.rotate(keys)
        self.stop_codes.rotate(keys)
        self._ring = ring

    @property
    def keyring(self) -> Keyring:
        """Return what signs now."""
        return self._ring

    def open(self, token: str, *, now: float) -> Claims | None:
        """Return the claims of an entitlement token whose signature holds, or None. `now` is Unix time in seconds.

        Whether it admits is not judged here: `Claims.reason_at`, revocations.
        """
        if algorithm_of(token) == "HS256":
            return self._own.verify(token, now=now)
        return None if self._elsewhere is None else self._elsewhere.verify(token, now=now)

    def begin(self, entitlement: Claims, whence: Whence, *, now: float) -> str | None:
        """Return the token of a new session, tied to where it is begun; None if it would be too long.

        It grants what the entitlement grants, for as long as that does, and ends with it when it is revoked.
        """
        return self.issue(self.session_of(entitlement, whence, now=now))

    def session_of(
        self, entitlement: Claims, whence: Whence, *, now: float, device: Mapping[str, str] | None = None
    ) -> Claims:
        """Return the claims of a new session, as `begin` issues them.

        Args:
            entitlement: what was bought.
            whence: where it is begun.
            now: Unix time in seconds.
            device: what the device says of itself; None: nothing.
        """
        network, class_of_device = self.binder.bind(whence)
        return Claims(
            jti=self._new_id(),
            account=entitlement.account,
            event_id=entitlement.event_id,
            not_before=max(int(now) - SKEW_S, entitlement.not_before),
            expires=entitlement.ends,
            window=entitlement.window,
            session=self._new_id(),
            scopes=entitlement.scopes,
            purchase=entitlement.purchase,
            geo=entitlement.geo,
            fingerprint=entitlement.fingerprint if device is None else self.fingerprints.of(device),
            binding=Binding(network, class_of_device, entitlement.jti),
            home=entitlement.home,
            plan=entitlement.plan,
            streams=entitlement.streams,
            kid=self._ring.signing_kid,
        )

    def renewed(
        self, session: Claims, whence: Whence, *, now: float, device: Mapping[str, str] | None = None
    ) -> Claims:
        """Return the claims of the same session under a new token, which lasts until its window ends.

        What it is tied to was asked before; it is tied to the same again, under the key that signs now. Who revokes the
        token or the entitlement that it came from ends it too.

        Args:
            session: what the token says that is to be renewed.
            whence: where that is asked for.
            now: Unix time in seconds.
            device: what the device says of itself; None: nothing.
        """
        kid, binding, fingerprint = self._ring.signing_kid, session.binding, session.fingerprint
        if binding is None:
            binding = Binding(entitlement=session.jti)
        elif kid != session.kid and binding.network is not None:
            binding = binding._replace(network=self.binder.bind(whence)[0])
        if fingerprint is not None and device is not None:
            fingerprint = self.fingerprints.of(device)
        return replace(
            session,
            jti=self._new_id(),
            not_before=max(int(now) - SKEW_S, session.not_before),
            expires=session.window[1],
            session=session.session or session.jti,
            fingerprint=fingerprint,
            binding=binding,
            kid=kid,
        )

    def issue(self, session: Claims) -> str | None:
        """Return the token that says so; None if it would be too long."""
        token = self._ring.issue(session)
        return token if len(token) <= MAX_TOKEN_CHARS else None


def algorithm_of(token: str) -> str:
    """Return the algorithm that a token's header names, empty where it cannot be read."""
    if len(token) > MAX_TOKEN_CHARS or not token.isascii() or token.count(".") != 2:
        return ""
    return _algorithm(token.partition(".")[0])


@lru_cache(maxsize=MAX_HEADERS)
def _algorithm(text: str) -> str:
    # An issuer writes the same header for each of its tokens.
    header = readable(text.encode())
    named = "" if header is None else header.get("alg")
    return named if isinstance(named, str) else ""
