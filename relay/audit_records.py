"""Records of the audit as bytes, and what they prove: each decision can be made again from what it was made of.

A record is a compact JSON array, the same bytes for the same record. What is personal in it (the address, what is known
of it, positions) is apart, its *inputs*, which are kept encrypted. Fields are only ever added at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from kernel.decisions import Scope, Verdict
from kernel.errors import DecodeError
from kernel.strict_json import decode_known, encode_known
from kernel.tokens import Reason
from relay.place.model import ClassAction, Fix, IpPlace, NetworkClass, PlaceVerdict, Point, known_place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay.audit import Judged, Note
    from relay.policies import CompiledPolicy

_MS = 1000


class Said(NamedTuple):
    """What a policy said."""

    policy_id: str
    version: int
    place: PlaceVerdict


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """A decision, without what is personal in it.

    `verdict` is what the gate answered, `place` what the policy said, None where none was asked. `version` is None for
    a policy that was not in force. `beside` is what another policy said, where two must agree. `blackouts` are those
    that applied to the bearer, in force or not, the strongest first.
    """

    seq: int
    at_ms: int
    session: str
    account: str
    event_id: str
    scope: Scope
    verdict: Verdict
    reason: Reason | None
    policy_id: str | None
    version: int | None
    locator: str
    place: PlaceVerdict | None
    beside: Said | None = None
    blackouts: tuple[str, ...] = ()

    def answers(self) -> list[Said]:
        """Return what all policies said that were asked."""
        if self.place is None:
            return []
        first = Said(self.policy_id or "", self.version or 0, self.place)
        return [first] if self.beside is None else [first, self.beside]


@dataclass(frozen=True, slots=True)
class PolicyText:
    """A policy's text, once in each run of a process that decided by it, ahead of the first such decision."""

    seq: int
    at_ms: int
    policy_id: str
    version: int
    text: str


@dataclass(frozen=True, slots=True)
class Gap:
    """So many records are missing here: more came than could be written."""

    seq: int
    at_ms: int
    lost: int


AuditRecord = DecisionRecord | PolicyText | Gap


@dataclass(frozen=True, slots=True)
class Inputs:
    """What is personal in a decision. `place` is None where no policy was asked: then only the address is known."""

    now: float
    address: str
    place: IpPlace | None = None
    fix: Fix | None = None
    previous: Fix | None = None
    mismatch: ClassAction | None = None


def decision_bytes(seq: int, note: Note) -> bytes:
    """Return the record of a note."""
    judged, said = note.judged, None
    beside: list[Any] = []
    version, locator = None, ""
    if note.blackouts:
        beside = [None, list(note.blackouts)]
    if judged is not None:
        version, locator, said = judged.policy.version, judged.locator, _said(judged.verdict)
        if judged.beside is not None:
            other = judged.beside.policy
            beside[:1] = [[other.policy_id, other.version, _said(judged.beside.verdict)]]
    policy_id = judged.policy.policy_id if judged is not None else note.policy_id
    return encode_known(
        ["d", seq, round(note.at * _MS), note.session, note.account, note.event_id, note.scope, note.verdict,
         note.reason, policy_id, version, locator, said, *beside]
    )  # fmt: skip


def _said(verdict: PlaceVerdict) -> list[str | None]:
    return [verdict.watch, verdict.wager, verdict.warning, verdict.watch_rule, verdict.wager_rule]


def policy_bytes(seq: int, at: float, judged: Judged) -> bytes:
    """Return the record of a policy's text. `at` is Unix time in seconds."""
    policy = judged.policy
    return encode_known(["p", seq, round(at * _MS), policy.policy_id, policy.version, policy.text])


def gap_bytes(seq: int, at: float, lost: int) -> bytes:
    """Return the record that says that so many are missing. `at` is Unix time in seconds."""
    return encode_known(["g", seq, round(at * _MS), lost])


def inputs_of(note: Note) -> list[Any]:
    """Return what is personal in a note, as plain JSON."""
    judged = note.judged
    if judged is None:
        return [note.at, note.address]
    place = judged.place
    told = [
        place.country, place.region, place.city, place.postcode, place.point, place.accuracy_m, place.metro, place.asn,
        sorted(place.classes), place.is_public,
    ]  # fmt: skip
    # Most devices say nothing, and most of what they say is the first.
    fixes = map(_fix_map, (judged.fix, judged.previous))
    return [judged.now, place.address, told, *fixes, *([] if judged.mismatch is None else [judged.mismatch])]


def _fix_map(fix: Fix | None) -> list[float] | None:
    return None if fix is None else [fix.point.lon, fix.point.lat, fix.accuracy_m, fix.at]


def record_of(data: bytes) -> AuditRecord:
    """Read a record.

    Raises:
        DecodeError: it is none.
    """
    try:
        kind, seq, at_ms, *fields = decode_known(data)
        if type(seq) is not int or type(at_ms) is not int:
            raise TypeError("number and time are integers")
        if kind == "d":
            return _decision(seq, at_ms, fields)
        if kind == "p":
            policy_id, version, text, *_ = fields
            return PolicyText(seq, at_ms, _text(policy_id), int(version), _text(text))
        if kind == "g":
            return Gap(seq, at_ms, int(fields[0]))
    except (ValueError, TypeError, IndexError, RecursionError) as error:
        raise DecodeError(f"no record: {error}") from None
    raise DecodeError(f"no record: kind {kind!r:.40} is unknown")


def _decision(seq: int, at_ms: int, fields: list[Any]) -> DecisionRecord:
    session, account, event_id, scope, verdict, reason, policy_id, version, locator, said, *more = fields
    beside = None
    if more and more[0] is not None:
        other_id, other_version, other_said = more[0]
        beside = Said(_text(other_id), int(other_version), _verdict(other_said))
    blackouts = tuple([_text(one) for one in more[1]]) if len(more) > 1 else ()
    return DecisionRecord(
        seq, at_ms, _text(session), _text(account), _text(event_id), Scope(scope), Verdict(verdict), _reason(reason),
        policy_id, version, _text(locator), None if said is None else _verdict(said), beside, blackouts,
    )  # fmt: skip


def _verdict(said: Any) -> PlaceVerdict:
    watch, wager, warning, watch_rule, wager_rule, *_ = said
    return PlaceVerdict(_reason(watch), _reason(wager), _reason(warning), _text(watch_rule), _text(wager_rule))


def inputs_from(value: Any) -> Inputs:
    """Read what is personal in a decision.

    Raises:
        DecodeError: it is not that.
    """
    try:
        now, address, *more = value
        if not more:
            return Inputs(float(now), _text(address))
        (
            (country, region, city, postcode, point, accuracy_m, metro, asn, classes, is_public, *_),
            fix,
            previous,
            *last,
        ) = more
        place = known_place(
            _text(address), country, region, city, postcode, None if point is None else Point(*point), accuracy_m,
            metro, asn, frozenset(map(NetworkClass, classes)), is_public=bool(is_public),
        )  # fmt: skip
        mismatch = ClassAction(last[0]) if last else None
        return Inputs(float(now), place.address, place, _fix(fix), _fix(previous), mismatch)
    except (ValueError, TypeError) as error:
        raise DecodeError(f"no inputs of a decision: {error}") from None


def _fix(value: Any) -> Fix | None:
    if value is None:
        return None
    lon, lat, accuracy_m, at = value
    return Fix(Point(lon, lat), accuracy_m, at)


def _reason(value: Any) -> Reason | None:
    return None if value is None else Reason(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a text is expected, not {value!r:.40}")
    return value


def judge_again(policy: CompiledPolicy, inputs: Inputs) -> PlaceVerdict | None:
    """Return what a policy says of the inputs of a decision, None where there was no place to judge."""
    if inputs.place is None:
        return None
    return policy.decide(inputs.place, inputs.fix, now=inputs.now, previous=inputs.previous, mismatch=inputs.mismatch)


def difference(record: DecisionRecord, again: Sequence[PlaceVerdict]) -> str | None:
    """Return in what the same question, asked again, was answered otherwise; None if in nothing.

    When to ask for a position again is advice and no part of the verdict.

    Args:
        record: what was decided.
        again: what its policies say now, in the order of `record.answers()`.
    """
    answers = record.answers()
    if len(answers) != len(again):
        return "the record holds no verdict of a policy"
    for said, verdict in zip(answers, again, strict=True):
        for name in ("watch", "wager", "warning", "watch_rule", "wager_rule"):
            then, now = getattr(said.place, name), getattr(verdict, name)
            if then != now:
                return f"{name} was {then or 'nothing'!s:.80}, is {now or 'nothing'!s:.80}"
    reason = record.reason
    # One that is not in force was asked nothing, whatever another one beside it said.
    if reason is None or reason is Reason.POLICY_UNKNOWN or not (reason.is_geo or reason.is_network):
        return None
    refuses = record.verdict is Verdict.REFUSE
    if any(reason in ((one.watch, one.wager) if refuses else (one.warning,)) for one in again):
        return None
    return f"the answer was {record.verdict} for {reason}, which no policy says"
