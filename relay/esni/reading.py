"""A document's elements as media, policies and audiences; whatever is not read is a finding.

What is not understood lets nobody in: an audience, an action or a time that cannot be read whole counts as unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kernel.errors import DecodeError
from relay.esni.elements import Element, Name, read_elements, short
from relay.esni.findings import FindingKind, Findings
from relay.esni.model import (
    CORE,
    OURS,
    SPELLINGS,
    XLINK,
    Apply,
    Audience,
    Document,
    Match,
    Media,
    MediaPoint,
    Policy,
    Property,
    Remove,
    ViewingPolicy,
)
from relay.esni.values import date_of, span_of

_HREF = Name(f"{{{XLINK}}}href")
_ENTRY = ("id", "description", "lastUpdated")
_TIMES = ("effective", "expires", "matchTime", "matchOffset")
_SPACES_UNREAD = ("http://www.w3.org/2001/XMLSchema-instance",)
"""Its attributes say where a schema is: nothing of what the document means."""

_TERMS = f"{{{OURS}}}Terms"
_MAX_ORDER = 1 << 31


def read_document(data: bytes, document: str, findings: Findings) -> Document:
    """Read one document: `Results`, or one media, policy, viewing policy or audience.

    Args:
        data: the document.
        document: how it is called in findings.
        findings: takes what was not read.

    Raises:
        MessageTooLarge: it exceeds a limit.
        DecodeError: it is no XML that is read, or no document of this standard.
    """
    root = read_elements(data, document, findings)
    reader = _Reader(findings)
    name = _name(root)
    if name == "Results":
        reader.attributes(root, ("size",))
        reader.leave_text(root)
        entries = root.children
    elif name in ("Media", "Policy", "ViewingPolicy", "Audience"):
        entries = [root]
    else:
        raise DecodeError(
            f"{document}:{root.at.line}: {short(root.name)} is no root of SCTE 224; Results, Media, Policy,"
            f" ViewingPolicy or Audience of {CORE} is expected"
        )
    media, policies, viewing, audiences = [], [], [], []
    for element in entries:
        match _name(element):
            case "Media":
                media.append(reader.media(element))
            case "Policy":
                policies.append(reader.policy(element))
            case "ViewingPolicy":
                viewing.append(reader.viewing(element))
            case "Audience":
                audiences.append(reader.audience(element))
            case "MediaPoint":
                media.append(Media(points=(reader.point(element),), at=element.at))
            case _:
                reader.unknown(element)
    return Document(tuple(media), tuple(policies), tuple(viewing), tuple(audiences))


def _name(element: Element) -> str | None:
    """Return the local name of an element of the standard's own namespace, None for another's."""
    return element.name.local if _space(element.name) == CORE else None


def _space(name: Name) -> str:
    return SPELLINGS.get(name.space, name.space)


class _Reader:
    def __init__(self, findings: Findings) -> None:
        self._findings = findings

    def media(self, element: Element) -> Media:
        points = []
        for child in self._children(element):
            if _name(child) == "MediaPoint":
                points.append(self.point(child))
            else:
                self.unknown(child)
        return Media(
            **self._entry(element, "source", "effective", "expires"),
            source=element.attributes.get(Name("source")),
            effective=self._value(element, "effective", date_of),
            expires=self._value(element, "expires", date_of),
            points=tuple(points),
        )

    def point(self, element: Element) -> MediaPoint:
        removes, applies, signals, terms = [], [], [], None
        for child in self._children(element):
            match _name(child):
                case "Remove":
                    # What may say that it is removed later, or not at all, removes nothing.
                    is_plain = not child.attributes and len(child.children) == 1
                    policy = self._policy_in(child, ())
                    removes.append(Remove(policy=policy if is_plain else None, at=child.at))
                case "Apply":
                    applies.append(self._apply(child))
                case "MatchSignal":
                    signals += self._signal(child)
                case "Ext" if len(child.children) == 1 and child.children[0].name == _TERMS and not child.text:
                    terms = child.children[0].text
                    self.attributes(child.children[0], ())
                    self._no_children(child.children[0])
                case _:
                    self.unknown(child)
        times = {
            name: self._value(element, name, span_of if name == "matchOffset" else date_of)
            for name in _TIMES
            if name in element.attributes
        }
        named = (*_TIMES, "order", "source", "expectedDuration")
        is_known = self.attributes(element, (*_ENTRY, _HREF, *named, "reusable"))
        return MediaPoint(
            **self._entry(element, *named),
            effective=times.get("effective"),
            expires=times.get("expires"),
            match_time=times.get("matchTime"),
            match_offset=times.get("matchOffset"),
            is_certain=is_known and None not in times.values(),
            order=self._value(element, "order", _count_of),
            source=element.attributes.get(Name("source")),
            expected_duration=self._value(element, "expectedDuration", span_of),
            removes=tuple(removes),
            applies=tuple(applies),
            signals=tuple(signals),
            terms=terms,
        )

    def policy(self, element: Element) -> Policy:
        viewing = []
        for child in self._children(element):
            if _name(child) == "ViewingPolicy":
                viewing.append(self.viewing(child))
            else:
                self.unknown(child)
        return Policy(**self._entry(element), viewing=tuple(viewing))

    def viewing(self, element: Element) -> ViewingPolicy:
        audiences, actions = [], []
        for child in self._children(element):
            name = _name(child)
            if name == "Audience":
                audiences.append(self.audience(child))
            elif name is None:
                actions.append(self._property(child))
            else:
                self.unknown(child)
        audience = audiences[0] if audiences else None
        if len(audiences) > 1:
            # The schema has one; of several nobody knows whether one or all are meant.
            self._bad(element, f"{len(audiences)} audiences stand in a viewing policy, which has one; it counts as all")
            audience = Audience(match=None, at=element.at)
        return ViewingPolicy(**self._entry(element), audience=audience, actions=tuple(actions))

    def audience(self, element: Element) -> Audience:
        parts: list[Property | Audience] = []
        for child in self._children(element):
            name = _name(child)
            if name == "Audience":
                parts.append(self.audience(child))
            elif name is None:
                parts.append(self._property(child))
            else:
                self.unknown(child)
                parts.append(Property(child.name, child.text, is_plain=False, at=child.at))
        match: Match | None = Match.ALL
        if "match" in element.attributes:
            match = self._value(element, "match", Match)
        if element.text or not self.attributes(element, (*_ENTRY, _HREF, "match")):
            match = None
        return Audience(**self._entry(element, "match"), match=match, parts=tuple(parts))

    def attributes(self, element: Element, known: tuple[str, ...]) -> bool:
        """Find the attributes that are not read, and return whether all are."""
        all_read = True
        for name in element.attributes:
            if name not in known and name.space not in _SPACES_UNREAD:
                all_read = False
                self._findings.add(
                    FindingKind.UNKNOWN_ATTRIBUTE, element.at, f"the attribute {short(name)} is not read"
                )
        return all_read

    def leave_text(self, element: Element) -> None:
        """Find a text where none belongs."""
        if element.text:
            self._findings.add(FindingKind.UNKNOWN_ELEMENT, element.at, f"the text {short(element.text)} is not read")

    def unknown(self, element: Element) -> None:
        """Find an element that is not read, with all that is in it."""
        within = f" and {len(element.children)} elements in it" if element.children else ""
        self._findings.add(
            FindingKind.UNKNOWN_ELEMENT, element.at, f"the element {short(element.name)}{within} is not read"
        )

    def _apply(self, element: Element) -> Apply:
        return Apply(
            policy=self._policy_in(element, ("duration", "priority")),
            duration=self._value(element, "duration", span_of),
            priority=self._value(element, "priority", _count_of),
            at=element.at,
        )

    def _policy_in(self, element: Element, known: tuple[str, ...]) -> Policy | None:
        self.attributes(element, known)
        policies = []
        for child in self._children(element):
            if _name(child) == "Policy":
                policies.append(self.policy(child))
            else:
                self.unknown(child)
        if len(policies) == 1:
            return policies[0]
        self._bad(element, f"{len(policies)} policies stand where one is expected")
        return None

    def _signal(self, element: Element) -> list[str]:
        self.attributes(element, ("match", "schema", "signalTolerance"))
        assertions = []
        for child in self._children(element):
            if _name(child) == "Assert":
                self.attributes(child, ())
                self._no_children(child)
                assertions.append(child.text)
            else:
                self.unknown(child)
        return assertions or [""]

    def _property(self, element: Element) -> Property:
        self.attributes(element, ())
        name = Name(f"{{{_space(element.name)}}}{element.name.local}")
        is_plain = not element.children and not element.attributes
        return Property(name, element.text, is_plain=is_plain, at=element.at)

    def _children(self, element: Element) -> list[Element]:
        self.leave_text(element)
        return element.children

    def _no_children(self, element: Element) -> None:
        for child in element.children:
            self.unknown(child)

    def _entry(self, element: Element, *known: str) -> dict[str, Any]:
        self.attributes(element, (*_ENTRY, _HREF, *known))
        href = element.attributes.get(_HREF)
        if href is not None and (element.children or element.attributes.get(Name("id")) is not None):
            self._bad(element, "it refers to another and has an id or content too; the reference counts as unknown")
            href = ""
        return {
            "id": element.attributes.get(Name("id")),
            "href": href,
            "description": element.attributes.get(Name("description")),
            "updated": self._value(element, "lastUpdated", date_of),
            "at": element.at,
        }

    def _value(self, element: Element, name: str, read: Callable[[str], Any]) -> Any:
        text = element.attributes.get(Name(name))
        if text is None:
            return None
        try:
            return read(text)
        except (DecodeError, ValueError) as error:
            says = str(error) if isinstance(error, DecodeError) else f"{short(text)} is none that is known"
            self._bad(element, f"{name}: {says}; it counts as absent")
            return None

    def _bad(self, element: Element, text: str) -> None:
        self._findings.add(FindingKind.BAD_VALUE, element.at, text)


def _count_of(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) < _MAX_ORDER):
        raise DecodeError(f"{short(text)} is no number from 0 to {_MAX_ORDER - 1}")
    return int(text)
