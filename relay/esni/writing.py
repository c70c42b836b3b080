"""Media, policies and audiences as a document of ANSI/SCTE 224."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from relay.esni.elements import Element, Name, write_elements
from relay.esni.model import (
    ACTION,
    AUDIENCE,
    CORE,
    OURS,
    XLINK,
    Apply,
    Audience,
    Document,
    Entry,
    Media,
    MediaPoint,
    Policy,
    Property,
    Remove,
    ViewingPolicy,
)
from relay.esni.values import Between, date_text, span_text

_PREFIXES = {CORE: "", ACTION: "action", AUDIENCE: "audience", XLINK: "xlink", OURS: "lockstep"}


def write_document(document: Document) -> bytes:
    """Return a document whose root is `Results`, UTF-8."""
    audiences = [_audience(one) for one in document.audiences]
    viewing = [_viewing(one) for one in document.viewing]
    policies = [_policy(one) for one in document.policies]
    media = [_media(one) for one in document.media]
    entries = [*audiences, *viewing, *policies, *media]
    return write_elements(_element("Results", {"size": str(len(entries))}, entries), _PREFIXES)


def _element(name: str, attributes: Mapping[str, str | None], children: Sequence[Element] = ()) -> Element:
    written = {Name(key): value for key, value in attributes.items() if value is not None}
    return Element(Name(f"{{{CORE}}}{name}"), written, children=list(children))


def _entry(entry: Entry) -> dict[str, str | None]:
    return {
        "id": entry.id,
        f"{{{XLINK}}}href": entry.href,
        "description": entry.description,
        "lastUpdated": _date(entry.updated),
    }


def _date(value: Between | None) -> str | None:
    return None if value is None else date_text(value.least)


def _span(value: Between | None) -> str | None:
    return None if value is None else span_text(value.least)


def _number(value: int | None) -> str | None:
    return None if value is None else str(value)


def _media(media: Media) -> Element:
    attributes = {"source": media.source, "effective": _date(media.effective), "expires": _date(media.expires)}
    return _element("Media", _entry(media) | attributes, [_point(point) for point in media.points])


def _point(point: MediaPoint) -> Element:
    attributes = {
        "effective": _date(point.effective),
        "expires": _date(point.expires),
        "matchTime": _date(point.match_time),
        "matchOffset": _span(point.match_offset),
        "source": point.source,
        "expectedDuration": _span(point.expected_duration),
        "order": _number(point.order),
    }
    children = []
    if point.terms is not None:
        children.append(_element("Ext", {}, [Element(Name(f"{{{OURS}}}Terms"), text=point.terms)]))
    children += [_remove(one) for one in point.removes]
    children += [_apply(one) for one in point.applies]
    if point.signals:
        asserts = [Element(Name(f"{{{CORE}}}Assert"), text=text) for text in point.signals]
        children.append(_element("MatchSignal", {"match": "ANY"}, asserts))
    return _element("MediaPoint", _entry(point) | attributes, children)


def _remove(remove: Remove) -> Element:
    return _element("Remove", {}, [] if remove.policy is None else [_policy(remove.policy)])


def _apply(apply: Apply) -> Element:
    attributes = {"duration": _span(apply.duration), "priority": _number(apply.priority)}
    return _element("Apply", attributes, [] if apply.policy is None else [_policy(apply.policy)])


def _policy(policy: Policy) -> Element:
    return _element("Policy", _entry(policy), [_viewing(one) for one in policy.viewing])


def _viewing(viewing: ViewingPolicy) -> Element:
    audience = [] if viewing.audience is None else [_audience(viewing.audience)]
    return _element("ViewingPolicy", _entry(viewing), audience + [_property(one) for one in viewing.actions])


def _audience(audience: Audience) -> Element:
    match = None if audience.href is not None or audience.match is None else audience.match.value
    parts = [_audience(part) if isinstance(part, Audience) else _property(part) for part in audience.parts]
    return _element("Audience", _entry(audience) | {"match": match}, parts)


def _property(one: Property) -> Element:
    return Element(one.name, text=one.value)
