"""Who makes use of which claims right now, found by what a revocation names.

The relay keeps its connections here, the hub its sockets. Entering and leaving is what happens all the time, so it
costs three dict entries, four for a session that was made of an entitlement; an event or a key concerns most of those
present anyway and is looked for among all.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from kernel.revocation import Subject, SubjectKind
from kernel.tokens import Claims

H = TypeVar("H")
"""Anything that can be the key of a dict."""


class Grants(Generic[H]):
    """Keep the claims of each holder. The order of what is found is that of entering."""

    def __init__(self) -> None:
        self._claims: dict[H, Claims] = {}
        self._tokens: _Found[H] = _Found()
        self._sessions: _Found[H] = _Found()
        self._accounts: _Found[H] = _Found()

    def __len__(self) -> int:
        """Return how many hold a grant."""
        return len(self._claims)

    def of(self, holder: H) -> Claims | None:
        """Return the claims by which a holder is here."""
        return self._claims.get(holder)

    def add(self, holder: H, claims: Claims) -> None:
        """Enter a holder; with other claims than before, those no longer count."""
        known = self._claims.get(holder)
        if known is claims:
            return
        if known is not None:
            self.remove(holder)
        self._claims[holder] = claims
        for jti in _tokens_of(claims):
            self._tokens.add(jti, holder)
        self._sessions.add(claims.session, holder)
        self._accounts.add(claims.account, holder)

    def remove(self, holder: H) -> None:
        """Let a holder leave; one that is not here is no fault."""
        claims = self._claims.pop(holder, None)
        if claims is not None:
            for jti in _tokens_of(claims):
                self._tokens.remove(jti, holder)
            self._sessions.remove(claims.session, holder)
            self._accounts.remove(claims.account, holder)

    def find(self, subject: Subject) -> list[H]:
        """Return all whose claims a subject concerns."""
        match subject.kind:
            case SubjectKind.TOKEN:
                candidates = self._tokens.get(subject.value)
            case SubjectKind.SESSION:
                candidates = self._sessions.get(subject.value)
            case SubjectKind.ACCOUNT:
                candidates = self._accounts.get(subject.value)
            case _:
                candidates = self.all()
        return [holder for holder in candidates if subject.concerns(self._claims[holder])]

    def of_session(self, session: str) -> list[H]:
        """Return all of a session; a token that says none is a session by itself, under its own id."""
        alone = [holder for holder in self._tokens.get(session) if not self._claims[holder].session]
        return [*self._sessions.get(session), *alone] if session else []

    def all(self) -> list[H]:
        """Return everybody."""
        return list(self._claims)


def _tokens_of(claims: Claims) -> tuple[str, ...]:
    made_of = claims.binding and claims.binding.entitlement
    # Whoever holds the keys may write the same into both: one name is one entry.
    return (claims.jti,) if made_of is None or made_of == claims.jti else (claims.jti, made_of)


class _Several(dict[H, None]):
    """More than one holder under one name, in order."""


class _Found(Generic[H]):
    """Holders by name. Nearly every name has one, and it stands alone: a dict for each would cost 250 bytes."""

    def __init__(self) -> None:
        self._by_name: dict[str, H | _Several[H]] = {}

    def get(self, name: str) -> list[H]:
        found = self._by_name.get(name)
        if found is None:
            return []
        return list(found) if isinstance(found, _Several) else [found]

    def add(self, name: str, holder: H) -> None:
        found = self._by_name.setdefault(name, holder)
        if isinstance(found, _Several):
            found[holder] = None
        elif found != holder:
            self._by_name[name] = _Several({found: None, holder: None})

    def remove(self, name: str, holder: H) -> None:
        found = self._by_name[name]
        if isinstance(found, _Several):
            del found[holder]
            if len(found) == 1:
                self._by_name[name] = next(iter(found))
        else:
            del self._by_name[name]
