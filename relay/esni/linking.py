"""References between documents (xlink:href), resolved by id within what was given; nothing is fetched.

What a reference leads to may refer on, so a short text can stand for an endless audience: how much all of them hold
together is limited. What leads nowhere, or to itself, is unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

from kernel.errors import MessageTooLarge
from relay.esni.elements import short
from relay.esni.findings import FindingKind, Findings
from relay.esni.model import Audience, Document, Entry, Media, Policy, ViewingPolicy

MAX_RESOLVED = 20_000
"""Audiences and properties in all, each counted wherever it is referred to."""

MAX_NESTED = 48
"""How deep references lead on; a document that nests as deep as it may reaches no deeper by itself."""

E = TypeVar("E", bound=Entry)


class Links:
    """What a document's references stand for.

    Args:
        document: all that was read.
        findings: takes what cannot be resolved.

    Attributes:
        followed: the ids that were referred to so far.
    """

    def __init__(self, document: Document, findings: Findings) -> None:
        self._findings = findings
        self._policies = self._index(_policies(document))
        self._viewing = self._index(_viewing(document))
        self._audiences = self._index(_audiences(document))
        self._resolved = 0
        self.followed: set[str] = set()

    def policy(self, policy: Policy) -> Policy | None:
        """Return the policy that is meant; None if that is not known."""
        return self._follow(policy, self._policies)

    def viewing(self, viewing: ViewingPolicy) -> ViewingPolicy | None:
        """Return the viewing policy that is meant; None if that is not known."""
        return self._follow(viewing, self._viewing)

    def audience(self, audience: Audience, way: tuple[str, ...] = ()) -> Audience:
        """Return an audience without references in it; what is not known has no `match`.

        Raises:
            MessageTooLarge: references stand for too much.
        """
        if audience.href is not None:
            target = None if audience.href in way else self._follow(audience, self._audiences)
            if audience.href in way:
                self._unresolved(audience, "leads to itself")
            if target is None or len(way) == MAX_NESTED:
                return Audience(match=None, at=audience.at)
            return self.audience(target, (*way, audience.href))
        self._resolved += 1 + len(audience.parts)
        if self._resolved > MAX_RESOLVED:
            raise MessageTooLarge(f"{audience.at.document}: its references stand for more than {MAX_RESOLVED} elements")
        parts = tuple(self.audience(part, way) if isinstance(part, Audience) else part for part in audience.parts)
        return replace(audience, parts=parts)

    def _follow(self, entry: E, index: dict[str, E | None]) -> E | None:
        seen = set()
        while entry.href is not None:
            target = index.get(entry.href)
            if target is None or entry.href in seen:
                self._unresolved(
                    entry, "leads to itself" if target else "leads nowhere: give the document that has this id as well"
                )
                return None
            seen.add(entry.href)
            self.followed.add(entry.href)
            entry = target
        return entry

    def _unresolved(self, entry: Entry, says: str) -> None:
        text = f"the reference {short(entry.href or '')} {says}; it counts as all viewers, blacked out"
        self._findings.add(FindingKind.UNRESOLVED, entry.at, text)

    def _index(self, entries: Iterable[E]) -> dict[str, E | None]:
        index: dict[str, E | None] = {}
        for entry in entries:
            if entry.id is None:
                continue
            if entry.id in index and index[entry.id] != entry:
                text = f"the id {short(entry.id)} stands for several; references to it count as unknown"
                self._findings.add(FindingKind.DUPLICATE_ID, entry.at, text)
                index[entry.id] = None
            else:
                index[entry.id] = entry
        return index


def applied(media: Iterable[Media]) -> Iterator[Policy]:
    """Return the policies that media points apply or remove, as they stand there."""
    for one in media:
        for point in one.points:
            named = [*(one.policy for one in point.removes), *(one.policy for one in point.applies)]
            yield from (policy for policy in named if policy is not None)


def _policies(document: Document) -> Iterator[Policy]:
    yield from document.policies
    # A Remove names its policy, often in full and without what is in it: that is no second meaning of the id.
    yield from (one for one in applied(document.media) if one.viewing)


def _viewing(document: Document) -> Iterator[ViewingPolicy]:
    yield from document.viewing
    for policy in _policies(document):
        yield from policy.viewing


def _audiences(document: Document) -> Iterator[Audience]:
    waiting = [*document.audiences, *(one.audience for one in _viewing(document) if one.audience is not None)]
    while waiting:
        audience = waiting.pop()
        yield audience
        waiting += [part for part in audience.parts if isinstance(part, Audience)]
