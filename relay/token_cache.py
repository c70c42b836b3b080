"""Tokens that were verified before, by their text: a hit costs a dictionary's look-up.

An entry says that this text's signature holds and what its claims are. It never says that somebody is admitted: window,
event, scope and revocation are asked anew each time, so nothing here needs to know of them.

* Only genuine tokens get in. Forged ones are not remembered, not even as forged: whoever writes them writes each
  differently, and would push out nobody.
* Bounded in entries and in bytes, with eviction by CLOCK: what was asked for since the hand last came by stays for
  another round. The hand moves a bounded number of steps for each new token, however many there are. Whoever holds many
  genuine tokens can make the others' cold, which costs them microseconds, and nothing else.
* An entry ends with its token. What a key signed that was rotated out is not found from that moment on. Their room is
  taken when the hand comes by.
* The look-up compares texts in variable time, behind a keyed hash of 64 bits: to learn from it, one would have to find
  a text of the same hash first (PEP 456).
"""

from __future__ import annotations

from collections import deque
from sys import getsizeof
from typing import Protocol

from kernel.tokens import Claims
from relay.token_verifier import Flaw, Verified

MAX_ENTRIES = 65_536
"""More viewers than one process can send video to."""

MAX_BYTES = 96 << 20
"""Nearly as many entries of the usual size (1.4 kB, counted as 1.7) as MAX_ENTRIES says."""

STEPS = 4
"""How far the hand moves for one new token at most, before it takes whatever it points at."""

_ENTRY_BYTES = 525
"""What an entry takes beside its texts and scopes: `Claims`, integers, window, and its place in the clock, measured."""

_USUAL_BYTES = _ENTRY_BYTES + getsizeof(frozenset()) + 11 * getsizeof("") - 180
"""The same of one with few scopes and no binding, with the heads of all texts that it may have; without what a token
spends at least on names, quotes, header and signature."""

_STREAM_BYTES = 220
"""What one entitlement with its number takes: a pair, a name of 64 characters, an integer."""


class Opener(Protocol):
    """What verifies a token: `TokenVerifier`, or that of another issuer's."""

    def open(self, token: str) -> Verified | Flaw:
        """Return what a token says and under which key, or its flaw."""
        ...


class TokenCache:
    """Verify tokens, and remember those that are genuine.

    Args:
        verifier: what verifies a token that is not remembered.
        max_entries: how many tokens are remembered.
        max_bytes: how much memory they may take.
    """

    def __init__(self, verifier: Opener, *, max_entries: int = MAX_ENTRIES, max_bytes: int = MAX_BYTES) -> None:
        self._verifier = verifier
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._entries: dict[str, Verified] = {}
        # The clock: each entry once, the hand points at the first.
        self._clock: deque[str] = deque()
        self._get = self._entries.get
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def n_bytes(self) -> int:
        """Return how much memory the entries take, as it is counted against the limit."""
        return self._bytes

    def verify(self, token: str, *, now: float) -> Claims | None:
        """Return the claims of a token whose signature holds, or None. `now` is Unix time in seconds.

        Guaranteed: the answer is the verifier's, whatever is remembered.
        """
        entry = self._get(token)
        if entry is not None and now < entry.ends and entry.key.accepted:
            entry.used = True
            return entry.claims
        return self._cold(token, entry, now)

    def _cold(self, token: str, former: Verified | None, now: float) -> Claims | None:
        verified = self._verifier.open(token)
        if not isinstance(verified, Verified):
            return None
        if now < verified.ends:
            self._keep(token, verified, former, now)
        return verified.claims

    def _keep(self, token: str, verified: Verified, former: Verified | None, now: float) -> None:
        entries = self._entries
        if former is not None:
            # What its key signed was not found any more, and its place in the clock it has.
            verified.n_bytes = former.n_bytes
            entries[token] = verified
            return
        # Of a usual one every character of its texts stands in the token, as four thirds of one.
        n_bytes = _USUAL_BYTES + 7 * len(token) // 4 if verified.is_usual else _weight(token, verified.claims)
        if n_bytes > self._max_bytes:
            return
        if entries:
            first = entries[self._clock[0]]
            # Where the hand points at what stays, it does not move: so it is for most.
            if first.used or now >= first.ends or not first.key.accepted:
                self._advance(now)
            while entries and (len(entries) >= self._max_entries or self._bytes + n_bytes > self._max_bytes):
                self._drop()
        verified.n_bytes = n_bytes
        entries[token] = verified
        self._clock.append(token)
        self._bytes += n_bytes

    def _advance(self, now: float) -> None:
        """Move the hand: drop what has ended, pass over what was used, stop at what was not."""
        for _ in range(min(STEPS, len(self._entries))):
            entry = self._entries[self._clock[0]]
            if now >= entry.ends or not entry.key.accepted:
                self._drop()
            elif entry.used:
                entry.used = False
                self._clock.rotate(-1)
            else:
                return

    def _drop(self) -> None:
        """Drop what the hand points at."""
        self._bytes -= self._entries.pop(self._clock.popleft()).n_bytes


def _weight(token: str, claims: Claims) -> int:
    scopes = claims.scopes
    texts = (
        claims.jti,
        claims.account,
        claims.event_id,
        claims.session,
        claims.purchase,
        claims.geo,
        claims.fingerprint,
        claims.home,
        claims.plan,
        *(claims.binding or ()),
        *scopes,
    )
    more = _STREAM_BYTES * len(claims.streams) + (0 if claims.binding is None else getsizeof(claims.binding))
    return _ENTRY_BYTES + getsizeof(token) + getsizeof(scopes) + more + sum([getsizeof(text) for text in texts if text])
