"""Documents of ANSI/SCTE 224 as blackouts and policies of place; docs/esni.md says what becomes of what.

The result never lets in more than the documents do. Who is kept out is taken as widely as what is not understood
allows, and a window as long; where that is wider than what is written, it is a finding.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kernel.errors import DecodeError
from kernel.showings import EVENT_ID
from kernel.strict_json import Limits, decode, encode
from relay.blackout_text import MAX_ZONES
from relay.esni.audiences import who
from relay.esni.elements import short
from relay.esni.findings import At, Finding, FindingKind, Findings
from relay.esni.linking import Links, applied
from relay.esni.model import (
    ACTION,
    BLACKOUT,
    EVENT,
    POLICY,
    Apply,
    Audience,
    Document,
    Media,
    MediaPoint,
    Policy,
    ViewingPolicy,
)
from relay.esni.place_terms import condition_of
from relay.esni.reading import read_document
from relay.esni.values import date_text
from relay.esni.where import EVERYBODY, UNKNOWN, Group, Leaf, Where, bound
from relay.esni.windows import Timetable
from relay.esni.zone_terms import Fate, zone_of, zones_of
from relay.place.policy_text import POLICY_ID, read_policy

TERMS = ("vpn_policy", "start_media", "end_media", "precedence")
"""What only our own documents say of a blackout."""

_TERMS_LIMITS = Limits(max_bytes=4 << 10, max_depth=8, max_nodes=200)
_MAX_NAME_CHARS = 64
_MAX_ID_CHARS = 64
_LIMITS_CLIENTS = "MaxNumberConcurrentClient"
_NO_ADMISSION = frozenset(
    {
        "Allocation", "AnalogProtectionSystem", "CGMS_A", "Capture", "ConstrainedImageTrigger", "DownloadBlocked",
        "Drm", "EncryptionModeIndicator", "FastForward", "HDMIBlocked", "KidVid", "MaxResolution", "MidrollDAI",
        "MirrorBlocked", "PostrollDAI", "PrerollDAI", "PreviewPeriod", "Resume", "Revalidate", "Rewind",
        "SignalPointDeletion", "SignalPointInsertion", "SubscriberViewLimit",
    }
)  # fmt: skip
"""Actions of the standard that keep nobody out."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What documents say, in our own terms.

    Args:
        blackouts: bodies of POST /api/v1/ppv/blackout.
        policies: policies of place.
        findings: what was not understood, or is taken wider than it is written.
    """

    blackouts: tuple[dict[str, Any], ...]
    policies: tuple[dict[str, Any], ...]
    findings: tuple[Finding, ...]


def import_documents(
    documents: Sequence[tuple[str, bytes]],
    *,
    event_id: str | None = None,
    contents: Mapping[str, str] | None = None,
    unnamed: str | None = None,
) -> Imported:
    """Return what documents say that refer to each other.

    Args:
        documents: how each is called, and its text.
        event_id: the showing that their media is; None: their media are named `urn:lockstep:event:ID`.
        contents: the showing that stands for an alternate content, by its URI; others are blocked.
        unnamed: what a media is called of which nothing says which showing it is; None: there must be none.

    Raises:
        MessageTooLarge: they exceed a limit.
        DecodeError: one cannot be read, a showing is not named, or a policy exceeds what policies may hold.
    """
    findings = Findings()
    read = [read_document(data, name, findings) for name, data in documents]
    everything = Document(
        tuple(one for document in read for one in document.media),
        tuple(one for document in read for one in document.policies),
        tuple(one for document in read for one in document.viewing),
        tuple(one for document in read for one in document.audiences),
    )
    importer = _Importer(everything, findings, event_id, contents or {}, unnamed)
    blackouts = tuple(importer.blackouts())
    policies = tuple(importer.policies())
    importer.find_unused()
    return Imported(blackouts, policies, findings.all())


class _Importer:
    def __init__(
        self,
        document: Document,
        findings: Findings,
        event_id: str | None,
        contents: Mapping[str, str],
        unnamed: str | None,
    ) -> None:
        self._document = document
        self._findings = findings
        self._event_id = event_id
        self._contents = contents
        self._unnamed = unnamed
        self._links = Links(document, findings)
        # By identity: the document, which holds them, lives as long.
        self._meant: dict[int, Where] = {}

    def blackouts(self) -> list[dict[str, Any]]:
        found = []
        referred = [one for one in self._document.media if one.href is not None]
        for media in referred:
            self._note(FindingKind.UNRESOLVED, media.at, f"the media {short(media.href or '')} is given as a reference")
        names = {media.id for media in self._document.media if _event_of(media) is None and media.points}
        if self._event_id is not None and len(names) > 1:
            raise DecodeError(f"{len(names)} media are in it, and --event is one showing; import them one by one")
        for media in self._document.media:
            timetable = Timetable(media, self._findings)
            for point in media.points:
                for apply in point.applies:
                    body = self._blackout(apply, point, media, timetable)
                    zones = body.pop("blackout_zones")
                    parts = [zones[first : first + MAX_ZONES] for first in range(0, len(zones), MAX_ZONES)]
                    found += [{"event_id": body["event_id"], "blackout_zones": part} | body for part in parts]
        return found

    def policies(self) -> list[dict[str, Any]]:
        used = {policy.href or policy.id for policy in applied(self._document.media)}
        shown = {viewing.href for policy in self._document.policies for viewing in policy.viewing}
        alone = [one for one in self._document.policies if one.id is None or one.id not in used]
        alone += [
            Policy(id=one.id, description=one.description, viewing=(one,), at=one.at)
            for one in self._document.viewing
            if one.id is None or one.id not in shown
        ]
        found: dict[str, dict[str, Any]] = {}
        for policy in alone:
            rules = self._rules(policy)
            if not rules:
                self._note(FindingKind.NOT_CARRIED, policy.at, "the policy keeps nobody out: nothing is made of it")
                continue
            policy_id = _policy_id(policy, found)
            text = {"policy_id": policy_id, "watch": {"default": "allow", "rules": rules}}
            try:
                read_policy(text)
            except DecodeError as error:
                raise DecodeError(f"{policy.at.document}:{policy.at.line}: policy {policy_id}: {error}") from None
            found[policy_id] = text
        return list(found.values())

    def find_unused(self) -> None:
        """Find what nothing refers to, once all else is done."""
        applies = [apply for media in self._document.media for point in media.points for apply in point.applies]
        begun = {apply.policy.href or apply.policy.id for apply in applies if apply.policy is not None}
        removed = {policy.href or policy.id for policy in applied(self._document.media)} - begun
        for policy in self._document.policies:
            if policy.id is not None and policy.id in removed:
                self._note(FindingKind.NOT_CARRIED, policy.at, "it is removed but never applied: nothing is made of it")
        for audience in self._document.audiences:
            if audience.id is None or audience.id not in self._links.followed:
                self._note(FindingKind.NOT_CARRIED, audience.at, "no viewing policy refers to this audience")

    def _blackout(self, apply: Apply, point: MediaPoint, media: Media, timetable: Timetable) -> dict[str, Any]:
        event_id = self._event_id or _event_of(media) or self._unnamed
        if event_id is None:
            raise DecodeError(
                f"{media.at.document}:{media.at.line}: which showing this media is, is not said: give --event, or"
                f" call it {EVENT}ID"
            )
        policy = None if apply.policy is None else self._links.policy(apply.policy)
        itself = {point.source or media.source, media.id, EVENT + event_id} - {None}
        zones = [zone_of(None, Fate(), None)] if policy is None else self._zones(policy, itself)
        if not zones:
            self._note(FindingKind.NOT_CARRIED, apply.at, "the policy keeps nobody out: nothing is made of it")
        body: dict[str, Any] = {"event_id": event_id, "blackout_zones": zones}
        start, end = timetable.window(apply, point)
        if start is not None:
            body["start"] = date_text(start)
        if end is not None:
            body["end"] = date_text(end)
        if apply.priority is not None:
            body["precedence"] = apply.priority
        if point.terms is not None:
            body |= self._terms(point)
        if "start_media" in body or "end_media" in body:
            # Either media times or times of the picture.
            body = {name: value for name, value in body.items() if name not in ("start", "end")}
        return body

    def _terms(self, point: MediaPoint) -> dict[str, Any]:
        try:
            terms = decode(point.terms or "", _TERMS_LIMITS)
            unknown = sorted(set(terms) - set(TERMS)) if isinstance(terms, dict) else None
            if unknown is None or unknown:
                raise DecodeError(f"an object of {', '.join(TERMS)} is expected")
        except DecodeError as error:
            self._note(FindingKind.BAD_VALUE, point.at, f"Terms: {error}; networks that hide are blocked")
            return {"vpn_policy": "block"}
        return dict(terms)

    def _zones(self, policy: Policy, itself: set[str | None]) -> list[dict[str, Any]]:
        zones: dict[str, dict[str, Any]] = {}
        shows: list[At] = []
        for written in policy.viewing:
            fate, where, viewing = self._meaning(written, itself)
            if fate is None:
                shows.append(viewing.at)
                continue
            for at in shows:
                text = "what shows the programme itself is no exception from what follows: the blackout applies in both"
                self._note(FindingKind.WIDENED, at, text)
            shows = []
            name = viewing.description if _is_name(viewing.description) else None
            found, is_exact = zones_of(bound(where, widest=True), fate, name)
            if not is_exact:
                text = "one zone cannot say ALL and NONE of homes and of places: more are blacked out than are meant"
                self._note(FindingKind.WIDENED, viewing.audience.at if viewing.audience else viewing.at, text)
            for zone in found:
                zones.setdefault(encode(zone), zone)
        return list(zones.values())

    def _meaning(self, written: ViewingPolicy, itself: set[str | None]) -> tuple[Fate | None, Where, ViewingPolicy]:
        """Return what becomes of whom, None if they see what is on."""
        viewing = self._links.viewing(written)
        if viewing is None:
            return Fate(), UNKNOWN, written
        fate = self._fate(viewing, itself)
        if fate is None:
            return None, UNKNOWN, viewing
        if viewing.audience is None:
            self._note(FindingKind.UNKNOWN_AUDIENCE, viewing.at, "there is no audience; it counts as all viewers")
            return fate, UNKNOWN, viewing
        return fate, self._who(viewing.audience), viewing

    def _who(self, audience: Audience) -> Where:
        """Return who is meant; what a schedule refers to at each of its points is resolved once."""
        if id(audience) not in self._meant:
            self._meant[id(audience)] = who(self._links.audience(audience), self._findings)
        return self._meant[id(audience)]

    def _fate(self, viewing: ViewingPolicy, itself: set[str | None]) -> Fate | None:
        fates: list[Fate | None] = []
        for action in viewing.actions:
            name = action.name.local if action.name.space == ACTION else None
            if name == "Content" and action.is_plain:
                fates.append(self._content(action.value, action.at, itself))
            elif name == _LIMITS_CLIENTS and action.is_plain and action.value.isdecimal() and int(action.value[:9]):
                text = f"{name} {action.value}: how many may watch at a time is not set by it"
                self._note(FindingKind.NOT_CARRIED, action.at, text)
            elif name in _NO_ADMISSION:
                self._note(FindingKind.NOT_CARRIED, action.at, f"{name} is not taken over; it keeps nobody out")
            else:
                text = f"the action {short(action.name)} is not known; its audience is blacked out"
                self._note(FindingKind.UNKNOWN_ACTION, action.at, text)
                fates.append(Fate())
        # Where several say something, what keeps out counts.
        kept_out = [fate for fate in fates if fate is not None]
        return next((fate for fate in kept_out if fate.redirect is None), kept_out[0] if kept_out else None)

    def _content(self, uri: str, at: At, itself: set[str | None]) -> Fate | None:
        if uri == BLACKOUT:
            return Fate()
        if uri in self._contents:
            uri = EVENT + self._contents[uri]
        if uri in itself:
            return None
        event_id = uri.removeprefix(EVENT)
        if event_id != uri and EVENT_ID.fullmatch(event_id):
            return Fate(event_id)
        text = f"which showing the content {short(uri)} is, is not known (--content): its audience is blacked out"
        self._note(FindingKind.UNKNOWN_ACTION, at, text)
        return Fate()

    def _rules(self, policy: Policy) -> list[dict[str, Any]]:
        followed = self._links.policy(policy)
        rules: list[dict[str, Any]] = []
        if followed is None:
            return [{"name": "rule 1", "effect": "deny", "where": condition_of(EVERYBODY)}]
        for written in followed.viewing:
            fate, where, viewing = self._meaning(written, set())
            if fate is None:
                continue
            if fate.redirect is not None:
                text = "a policy of place shows nothing else instead: its audience is refused"
                self._note(FindingKind.WIDENED, viewing.at, text)
            name = viewing.description if _is_name(viewing.description) else f"rule {len(rules) + 1}"
            present = self._without_homes(where, viewing.at)
            condition = condition_of(bound(present, widest=True))
            rules.append({"name": name, "effect": "deny", "where": condition})
        return rules

    def _without_homes(self, where: Where, at: At) -> Where:
        if isinstance(where, Group):
            return Group(where.match, tuple(self._without_homes(part, at) for part in where.parts))
        if isinstance(where, Leaf) and where.is_home:
            text = "policies of place do not know where viewers are at home: whoever may be meant is refused"
            self._note(FindingKind.WIDENED, at, text)
            return UNKNOWN
        return where

    def _note(self, kind: FindingKind, at: At, text: str) -> None:
        self._findings.add(kind, at, text)


def _event_of(media: Media) -> str | None:
    for uri in (media.id, media.source):
        if uri is not None and uri.startswith(EVENT) and EVENT_ID.fullmatch(uri.removeprefix(EVENT)):
            return uri.removeprefix(EVENT)
    return None


def _is_name(text: str | None) -> bool:
    return text is not None and 1 <= len(text) <= _MAX_NAME_CHARS and text.isprintable() and not text.isspace()


def _policy_id(policy: Policy, taken: Mapping[str, object]) -> str:
    """Return a policy's name: its id's if it is one of ours, else its id without what names cannot hold."""
    uri = policy.id or f"policy-{len(taken) + 1}"
    name = uri.removeprefix(POLICY)
    if name == uri or not POLICY_ID.fullmatch(name):
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", uri).strip("-")[-_MAX_ID_CHARS:] or "policy"
    number, free = 2, name
    while free in taken:
        free = f"{name[: _MAX_ID_CHARS - 6]}-{number}"
        number += 1
    return free
