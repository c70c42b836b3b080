"""Revocations: what takes a grant back before it expires, and the index that knows all that are in force.

A revocation names a *subject*: one token, one session, an account (at one event or at all), an event, or a signing
key. It holds for every token that the subject concerns, also for one that is issued later, until it is undone or
expires. The word on the bus is a `Revocation` or its `Reinstatement`; both are idempotent, so hearing the log of them
again from anywhere ends in the same state.

The index is laid out for a million of them: the value and when it ends, nothing else, in tables of many small dicts.
Small, because a dict that grows is copied as a whole, which would stop the loop for tens of milliseconds; and because
a sweep can then forget in pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter

from kernel.tokens import Claims

FOREVER = 1 << 62
"""When a revocation ends that does not expire, in Unix seconds."""

MAX_VALUE_CHARS = 256
"""The longest value of a subject: what we issue has 22 characters, an account up to 128."""

_SHARDS = 1024
"""A table of a million values then has dicts of a thousand: copied in 30 us when they grow, swept in 50."""


class SubjectKind(StrEnum):
    """What a revocation names, by the word on the wire."""

    TOKEN = "token"  # noqa: S105 - a kind, not a secret
    SESSION = "session"
    ACCOUNT = "account"
    EVENT = "event"
    KEY = "key"


@dataclass(frozen=True, slots=True)
class Subject:
    """What is revoked.

    Args:
        kind: what `value` is.
        value: the claim `jti`, `sid`, `sub` or `evt`, or the `kid` of a signing key; 1 to 256 characters. A token
            is meant by its own `jti`, and by that of the entitlement it was made of.
        event_id: narrows an account to one event; None for all other kinds.
    """

    kind: SubjectKind
    value: str
    event_id: str | None = None

    def __post_init__(self) -> None:
        """Hold the fields to what they may be.

        Raises:
            ValueError: the value is empty or too long, or an event narrows what is no account.
        """
        if not 1 <= len(self.value) <= MAX_VALUE_CHARS:
            raise ValueError(f"a {self.kind} has 1 to {MAX_VALUE_CHARS} characters, not {len(self.value)}")
        if self.event_id is not None and self.kind is not SubjectKind.ACCOUNT:
            raise ValueError(f"only an account is revoked at one event, not a {self.kind}")

    def concerns(self, claims: Claims) -> bool:
        """Return whether a token with these claims is meant."""
        if self.event_id is not None and self.event_id != claims.event_id:
            return False
        if self.kind is SubjectKind.TOKEN and _entitlement(claims) == self.value:
            return True
        return _VALUES[self.kind](claims) == self.value


@dataclass(frozen=True, slots=True)
class Revocation:
    """A subject's grants are taken back.

    Args:
        id: by which it is undone.
        subject: whom it concerns.
        reason: for operators, never told to viewers.
        made: when, in Unix seconds.
        expires: when it ends by itself, in Unix seconds; None: never.
        by: the operator who made it.
    """

    id: str
    subject: Subject
    reason: str
    made: float
    expires: int | None
    by: str


@dataclass(frozen=True, slots=True)
class Reinstatement:
    """A revocation is undone: `id` was its own."""

    id: str
    subject: Subject


RevocationChange = Revocation | Reinstatement

_Asked = tuple[tuple[Callable[[Claims], str | None], list[dict[str, int]]], ...]


def _entitlement(claims: Claims) -> str | None:
    return claims.binding and claims.binding.entitlement


_VALUES: Mapping[SubjectKind, Callable[[Claims], str]] = {
    SubjectKind.TOKEN: attrgetter("jti"),
    SubjectKind.SESSION: attrgetter("session"),
    SubjectKind.ACCOUNT: attrgetter("account"),
    SubjectKind.EVENT: attrgetter("event_id"),
    SubjectKind.KEY: attrgetter("kid"),
}


class RevocationIndex:
    """Know which claims are revoked, in a time that does not depend on how many are.

    `version` rises with every change that could revoke more or less than before. A revocation that expires changes
    nothing of it: whoever remembers that claims were *not* revoked at a version may go on believing it.
    """

    def __init__(self) -> None:
        self.version = 0
        self._tables = [_Table(read) for read in (*_VALUES.values(), _account_at_event)]
        self._by_kind = dict(zip(_VALUES, self._tables, strict=False))
        # Most tables are empty most of the time: only the others are asked.
        self._used: tuple[_Table, ...] = ()
        self._asked: _Asked = ()
        # One number for all revocations that end in the same minute, not one for each.
        self._instants: dict[int, int] = {}
        self._swept = 0

    def __len__(self) -> int:
        """Return how many are kept: those in force, and those that have expired since they were last swept."""
        return sum(table.count for table in self._used)

    def covers(self, claims: Claims, now: float) -> bool:
        """Return whether claims are revoked at `now`, in Unix seconds."""
        # Written out, without a call and a generator: this is asked for every request.
        for read, shards in self._asked:
            value = read(claims)
            if value is not None and now < shards[hash(value) % _SHARDS].get(value, 0):
                return True
        return False

    def until(self, subject: Subject) -> int | None:
        """Return until when a subject is revoked, in Unix seconds, `FOREVER` if for good, None if it is not."""
        table, value = self._place(subject)
        return table.until(value) or None

    def apply(self, change: RevocationChange) -> bool:
        """Take over what the bus says; return whether it changed anything."""
        table, value = self._place(change.subject)
        if isinstance(change, Revocation):
            until = FOREVER if change.expires is None else change.expires
            changed = table.put(value, self._instants.setdefault(until, until))
        else:
            changed = table.remove(value)
        if changed:
            self.version += 1
            self._note_used()
        return changed

    def sweep(self, now: float, *, shards: int = 16) -> None:
        """Forget what has expired by `now` in the next `shards` of each table; 64 calls see all of it."""
        for _ in range(shards):
            for table in self._used:
                table.sweep(self._swept, now)
            self._swept = (self._swept + 1) % _SHARDS
            if not self._swept:
                self._instants = {one: one for one in self._instants if one > now}
        self._note_used()

    def _note_used(self) -> None:
        used = tuple(one for one in self._tables if one.count)
        if used != self._used:
            self._used = used
            asked: _Asked = tuple((one.read, one.shards) for one in used)
            tokens = self._by_kind[SubjectKind.TOKEN]
            # Looked up in the same table a second time: by what the session was made of.
            self._asked = (*asked, (_entitlement, tokens.shards)) if tokens.count else asked

    def _place(self, subject: Subject) -> tuple[_Table, str]:
        if subject.event_id is not None:
            return self._tables[-1], _at_event(subject.value, subject.event_id)
        return self._by_kind[subject.kind], subject.value


class _Table:
    """The revoked values of one kind, and when each ends."""

    def __init__(self, read: Callable[[Claims], str]) -> None:
        self.read = read
        self.count = 0
        self.shards: list[dict[str, int]] = [{} for _ in range(_SHARDS)]

    def until(self, value: str) -> int:
        return self.shards[hash(value) % _SHARDS].get(value, 0)

    def put(self, value: str, until: int) -> bool:
        shard = self.shards[hash(value) % _SHARDS]
        known = shard.get(value)
        shard[value] = until
        self.count += known is None
        return known != until

    def remove(self, value: str) -> bool:
        known = self.shards[hash(value) % _SHARDS].pop(value, None)
        self.count -= known is not None
        return known is not None

    def sweep(self, number: int, now: float) -> None:
        shard = self.shards[number]
        kept = {value: until for value, until in shard.items() if until > now}
        if len(kept) < len(shard):
            self.count -= len(shard) - len(kept)
            # A dict does not shrink by itself.
            self.shards[number] = kept


def _account_at_event(claims: Claims) -> str:
    return _at_event(claims.account, claims.event_id)


def _at_event(account: str, event_id: str) -> str:
    # An event id holds no slash, so no two pairs look alike.
    return f"{event_id}/{account}"
