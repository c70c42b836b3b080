"""Blackouts and policies of place as a document of ANSI/SCTE 224; docs/esni.md says what becomes of what.

What others read in it keeps out whoever we keep out. What the standard has no words for is taken wider or stands in an
extension of ours that others pass over: both are findings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kernel.errors import DecodeError
from kernel.strict_json import encode
from relay.esni.audiences import audience_of
from relay.esni.elements import Name
from relay.esni.findings import At, Finding, FindingKind, Findings
from relay.esni.importing import TERMS
from relay.esni.model import (
    ACTION,
    BLACKOUT,
    EVENT,
    POLICY,
    Apply,
    Document,
    Match,
    Media,
    MediaPoint,
    Policy,
    Property,
    ViewingPolicy,
)
from relay.esni.place_terms import where_of
from relay.esni.values import Between, date_of
from relay.esni.where import EVERYBODY, Group, Leaf, bound
from relay.esni.writing import write_document
from relay.esni.zone_terms import where_of_zone
from relay.place.fields import quoted
from relay.place.policy_text import read_policy

_NOT_CARRIED = {
    "wager": "wagering is nothing that SCTE 224 speaks of",
    "networks": "classes of networks are nothing that SCTE 224 knows",
    "vpn_policy": "classes of networks are nothing that SCTE 224 knows",
    "gps": "positions of devices are nothing that SCTE 224 asks for",
    "geo_mismatch_action": "positions of devices are nothing that SCTE 224 asks for",
    "markets": "own polygons of markets are not written; markets are written by their codes",
}
"""Of a policy of place."""

_FIELDS = frozenset({"event_id", "blackout_zones", "start", "end", *TERMS})
_ZONE_FIELDS = frozenset(
    {
        "type", "name", "action", "redirect_stream", "territory", "code", "codes", "country", "radius_miles",
        "radius_m", "lon", "lat", "ring", "rings", "where",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Exported:
    """A document.

    Args:
        document: UTF-8.
        findings: what is in it wider than with us, or not at all, or as an extension.
    """

    document: bytes
    findings: tuple[Finding, ...]


def export_event(
    event_id: str, blackouts: Sequence[Mapping[str, Any]], policies: Sequence[Mapping[str, Any]], *, updated_ms: int
) -> Exported:
    """Return a showing's blackouts and its policies of place as a document.

    Args:
        event_id: the showing.
        blackouts: bodies of POST /api/v1/ppv/blackout, all of this showing.
        policies: policies of place.
        updated_ms: when they were changed last, in Unix ms.

    Raises:
        DecodeError: one of them is none.
    """
    findings = Findings()
    updated = Between(updated_ms, updated_ms)
    points = tuple(_point(event_id, n, body, updated, findings) for n, body in enumerate(blackouts))
    media = Media(id=EVENT + event_id, source=EVENT + event_id, updated=updated, points=points)
    written = tuple(_policy(policy, updated, findings) for policy in policies)
    document = Document(media=(media,) if points else (), policies=written)
    return Exported(write_document(document), findings.all())


def _point(event_id: str, number: int, body: Mapping[str, Any], updated: Between, findings: Findings) -> MediaPoint:
    path = f"blackout[{number}]"
    _check_fields(body, _FIELDS, path)
    if body.get("event_id") != event_id:
        raise DecodeError(f"{path}.event_id: {event_id} is expected, not {quoted(body.get('event_id'))}")
    name = f"{EVENT}{event_id}:blackout:{number}"
    start, end = (_time(body, field, path) for field in ("start", "end"))
    duration = None if start is None or end is None else end.most - start.least
    if duration is not None and duration <= 0:
        raise DecodeError(f"{path}.end: it is not behind start")
    precedence = body.get("precedence")
    is_priority = isinstance(precedence, int) and not isinstance(precedence, bool) and precedence >= 0
    terms = {field: body[field] for field in TERMS if field in body and not (field == "precedence" and is_priority)}
    for field in terms:
        text = f"{field} is nothing that SCTE 224 knows; it is an extension that others pass over"
        findings.add(FindingKind.EXTENSION, At(f"{path}.{field}"), text)
    zones = body.get("blackout_zones")
    if not isinstance(zones, list):
        raise DecodeError(f"{path}.blackout_zones: a list is expected, not {quoted(zones)}")
    viewing = tuple(
        _zone(zone, f"{name}:zone:{n}", At(f"{path}.blackout_zones[{n}]"), updated, findings)
        for n, zone in enumerate(zones)
    )
    apply = Apply(
        policy=Policy(id=f"{name}:policy", updated=updated, viewing=viewing),
        duration=None if duration is None else Between(duration, duration),
        priority=precedence if is_priority else None,
    )
    return MediaPoint(
        id=name,
        updated=updated,
        match_time=start,
        expires=end if start is None else None,
        applies=(apply,),
        terms=encode(terms) if terms else None,
    )


def _time(body: Mapping[str, Any], field: str, path: str) -> Between | None:
    if field not in body:
        return None
    try:
        return date_of(str(body[field]))
    except DecodeError as error:
        raise DecodeError(f"{path}.{field}: {error}") from None


def _zone(zone: object, name: str, at: At, updated: Between, findings: Findings) -> ViewingPolicy:
    if not isinstance(zone, Mapping) or "type" not in zone:
        raise DecodeError(f"{at.path}: a zone is expected, not {quoted(zone)}")
    _check_fields(zone, _ZONE_FIELDS, at.path)
    is_redirect = zone.get("action") == "redirect"
    content = EVENT + str(zone.get("redirect_stream")) if is_redirect else BLACKOUT
    where = where_of_zone(zone, at, findings)
    return _viewing(name, zone.get("name"), where, content, updated)


def _viewing(name: str, label: str | None, where: Leaf | Group, content: str, updated: Between) -> ViewingPolicy:
    action = Property(Name(f"{{{ACTION}}}Content"), content)
    return ViewingPolicy(id=name, description=label, updated=updated, audience=audience_of(where), actions=(action,))


def _policy(policy: Mapping[str, Any], updated: Between, findings: Findings) -> Policy:
    terms = read_policy(policy)
    name = POLICY + terms.policy_id
    path = f"policy {terms.policy_id}"
    for field, says in _NOT_CARRIED.items():
        if field in policy:
            findings.add(FindingKind.NOT_CARRIED, At(f"{path}.{field}"), says)
    section = policy.get("watch", {"default": "allow"})
    viewing = []
    allowed = []
    for n, rule in enumerate(section.get("rules", ())):
        at = At(f"{path}.watch.rules[{n}]")
        is_allow = rule["effect"] == "allow"
        where = bound(where_of(rule["where"], at, findings, widest=not is_allow), widest=not is_allow)
        if rule.get("unknown") not in (None, "skip" if is_allow else "apply"):
            text = "what is unknown is not spoken of in SCTE 224: it keeps out"
            findings.add(FindingKind.WIDENED, at, text)
        if is_allow:
            allowed.append(where)
        else:
            viewing.append(_viewing(f"{name}:rule:{n}", rule["name"], where, BLACKOUT, updated))
    if section["default"] == "deny":
        # Who may watch by no rule: the standard has no default, so it is written as an audience.
        outside = Group(Match.NONE, tuple(allowed)) if allowed else EVERYBODY
        viewing.append(_viewing(f"{name}:default", "default", outside, BLACKOUT, updated))
    elif allowed:
        findings.add(FindingKind.NOT_CARRIED, At(f"{path}.watch"), "rules that allow what is allowed anyhow")
    return Policy(id=name, updated=updated, viewing=tuple(viewing))


def _check_fields(fields: Mapping[str, Any], known: frozenset[str], path: str) -> None:
    for name in fields:
        if name not in known:
            raise DecodeError(f"{path}: {quoted(name)} is no field that is known; nothing is left out in silence")
