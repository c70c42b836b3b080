"""What stands in documents of ANSI/SCTE 224, as far as it is read and written."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from relay.esni.elements import Name
from relay.esni.findings import NOWHERE, At
from relay.esni.values import Between

CORE = "http://www.scte.org/schemas/224"
ACTION = "urn:scte:224:action"
AUDIENCE = "urn:scte:224:audience"
XLINK = "http://www.w3.org/1999/xlink"
OURS = "urn:lockstep:esni"
"""What only Lockstep knows stands in it, in a media point's `Ext`."""

SPELLINGS = {
    "http://www.scte.org/schemas/224/2015": CORE,
    "http://www.scte.org/schemas/224/action": ACTION,
    "http://www.scte.org/schemas/224/audience": AUDIENCE,
}
"""Other namespaces that mean the same."""

BLACKOUT = "urn:scte:224:action:blackout"
"""The content that is none."""

EVENT = "urn:lockstep:event:"
POLICY = "urn:lockstep:policy:"


class Match(StrEnum):
    """How the parts of an audience are joined."""

    ALL = "ALL"
    ANY = "ANY"
    NONE = "NONE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What all of them have.

    Args:
        id: its URI.
        href: the URI of the one that it stands for; it says nothing itself then.
        description: for people.
        updated: when it was changed last.
        at: where it stands.
    """

    id: str | None = None
    href: str | None = None
    description: str | None = None
    updated: Between | None = None
    at: At = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True)
class Property:
    """A property of an audience, or an action: an element of another namespace with a text.

    Args:
        name: what it is, with its namespace.
        value: its text.
        is_plain: whether there is nothing in it but text.
        at: where it stands.
    """

    name: Name
    value: str = ""
    is_plain: bool = True
    at: At = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience(Entry):
    """Who is meant.

    Args:
        match: how its parts are joined; None: it is written in no way that is known.
        parts: properties and further audiences.
    """

    match: Match | None = Match.ALL
    parts: tuple[Property | Audience, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewingPolicy(Entry):
    """What an audience is shown."""

    audience: Audience | None = None
    actions: tuple[Property, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy(Entry):
    """Viewing policies that are applied together."""

    viewing: tuple[ViewingPolicy, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Apply:
    """A policy that begins at a media point.

    Args:
        policy: which; None: none stands there.
        duration: for how long; None: until it is removed.
        priority: of several that apply the highest counts.
        at: where it stands.
    """

    policy: Policy | None
    duration: Between | None = None
    priority: int | None = None
    at: At = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """A policy that ends at a media point."""

    policy: Policy | None
    at: At = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaPoint(Entry):
    """A moment of a media.

    Args:
        effective: from when on it can come.
        expires: until when.
        match_time: when it comes.
        match_offset: how long after that, or after the media's begin.
        order: of points that come together.
        source: of the media, where it differs.
        expected_duration: how long what begins there will take, for people.
        removes: what ends there, before what begins.
        applies: what begins there.
        signals: the assertions on SCTE 35 signals, any of which makes it come.
        terms: what only Lockstep knows, JSON.
        is_certain: whether all its attributes could be read.
    """

    effective: Between | None = None
    expires: Between | None = None
    match_time: Between | None = None
    match_offset: Between | None = None
    order: int | None = None
    source: str | None = None
    expected_duration: Between | None = None
    removes: tuple[Remove, ...] = ()
    applies: tuple[Apply, ...] = ()
    signals: tuple[str, ...] = ()
    terms: str | None = None
    is_certain: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Media(Entry):
    """What is shown, and its points."""

    source: str | None = None
    effective: Between | None = None
    expires: Between | None = None
    points: tuple[MediaPoint, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """What stands in a document, or in several, by kind."""

    media: tuple[Media, ...] = ()
    policies: tuple[Policy, ...] = ()
    viewing: tuple[ViewingPolicy, ...] = ()
    audiences: tuple[Audience, ...] = ()
