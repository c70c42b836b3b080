"""The kernel's records as plain JSON maps and back: how they lie in the journal and travel between processes.

Every kind is written out by hand, field by field, so that what is on disk changes only when this file does.
`x_from_map(to_map(x)) == x` for every record whose body is plain JSON; floats survive to the last bit. A map that
lacks a field or holds another type raises DecodeError: it was written by another version, or is damaged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar, get_args

from kernel.blackouts import BlackoutRecord
from kernel.cues import Cue, CueClass, CueType, Entry, Op
from kernel.errors import DecodeError
from kernel.feed_state import FeedProgress, FeedState, Health
from kernel.marks import Opened, ReleaseMark, Served
from kernel.policies import PolicyRecord
from kernel.pts import Ticks
from kernel.revocation import Reinstatement, Revocation, RevocationChange, Subject, SubjectKind
from kernel.timeline import MediaTime, Method, SegmentKey, SegmentTiming, StreamState
from kernel.value import to_map as fields_of

Map = Mapping[str, Any]
Record = (
    Entry
    | SegmentTiming
    | ReleaseMark
    | Opened
    | Served
    | StreamState
    | FeedState
    | FeedProgress
    | RevocationChange
    | PolicyRecord
    | BlackoutRecord
)
T = TypeVar("T")
P = ParamSpec("P")

_METHODS: Mapping[str, Method] = {name: name for name in get_args(Method)}


def to_map(record: Record) -> dict[str, Any]:
    """Return the map of a record; its body is shared with the record, not copied."""
    match record:
        case Entry():
            return {"o": record.o, "due": _pair(record.due), "cue": _cue_to_map(record.cue)}
        case SegmentTiming():
            return _timing_to_map(record)
        case StreamState():
            last = None if record.last is None else [record.last.generation, record.last.msn]
            return {
                "stream": record.stream,
                "target_duration_s": record.target_duration_s,
                "live": record.live,
                "ended": record.ended,
                "begun": record.begun,
                "last": last,
            }
        case Served():
            return {
                "stream": record.stream,
                "session": record.session,
                "first_msn": record.first_msn,
                "last_msn": record.last_msn,
            }
        case ReleaseMark() | Opened():
            released = {
                "stream": record.stream,
                "generation": record.generation,
                "msn": record.msn,
                "part": record.part,
                "upto": _pair(record.upto),
                "at": record.at,
            }
            return {**released, "epoch": record.epoch} if isinstance(record, Opened) else released
        case Revocation():
            return {
                "op": "revoke",
                "id": record.id,
                "subject": _subject_to_map(record.subject),
                "reason": record.reason,
                "made": record.made,
                "expires": record.expires,
                "by": record.by,
            }
        case Reinstatement():
            return {"op": "reinstate", "id": record.id, "subject": _subject_to_map(record.subject)}
        case PolicyRecord() | BlackoutRecord():
            return fields_of(record)
        case FeedState():
            return {"source": record.source, "state": record.state.value, "why": record.why, "since": record.since}
        case FeedProgress():
            return {"source": record.source, "complete_to": record.complete_to}


def _reading(what: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Turn whatever a broken map raises into a DecodeError that names the record."""

    def decorate(read: Callable[P, T]) -> Callable[P, T]:
        @wraps(read)
        def reading(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return read(*args, **kwargs)
            except KeyError as error:
                raise DecodeError(f"{what}: {error.args[0]!r} is missing or unknown") from None
            except (TypeError, ValueError) as error:
                raise DecodeError(f"{what}: {error}") from None

        return reading

    return decorate


@_reading("entry")
def entry_from_map(entry: Map) -> Entry:
    """Return the entry that `to_map` wrote.

    Raises:
        DecodeError: the map is not that of an entry.
    """
    due = entry["due"]
    return Entry(_int(entry["o"]), _cue_from_map(entry["cue"]), None if due is None else _media_time(due))


@_reading("segment timing")
def timing_from_map(timing: Map) -> SegmentTiming:
    """Return the timing that `to_map` wrote.

    Raises:
        DecodeError: the map is not that of a timing.
    """
    method = timing["method"]
    return SegmentTiming(
        stream=_str(timing["stream"]),
        generation=_int(timing["generation"]),
        msn=_int(timing["msn"]),
        part=_optional(timing["part"], _int),
        uri=_str(timing["uri"]),
        timeline=_int(timing["timeline"]),
        start=Ticks(_int(timing["start"])),
        end=Ticks(_int(timing["end"])),
        wall=_optional(timing["wall"], _number),
        sigma_ms=_number(timing["sigma_ms"]),
        method=None if method is None else _METHODS[method],
    )


@_reading("release mark")
def mark_from_map(mark: Map) -> ReleaseMark:
    """Return the release mark that `to_map` wrote.

    Raises:
        DecodeError: the map is not that of a release mark.
    """
    return ReleaseMark(
        stream=_str(mark["stream"]),
        generation=_int(mark["generation"]),
        msn=_int(mark["msn"]),
        part=_optional(mark["part"], _int),
        upto=_media_time(mark["upto"]),
        at=_number(mark["at"]),
    )


@_reading("opened")
def opened_from_map(opened: Map) -> Opened:
    """Return the `Opened` that `to_map` wrote.

    Raises:
        DecodeError: the map is not that of an `Opened`.
    """
    return Opened(
        stream=_str(opened["stream"]),
        generation=_int(opened["generation"]),
        msn=_int(opened["msn"]),
        part=_optional(opened["part"], _int),
        upto=_optional(opened["upto"], _media_time),
        at=_number(opened["at"]),
        epoch=_optional(opened["epoch"], _str),
    )


@_reading("served")
def served_from_map(served: Map) -> Served:
    """Return the `Served` that `to_map` wrote.

    Raises:
        DecodeError: the map is not that of a `Served`.
    """
    return Served(
        stream=_str(served["stream"]),
        session=_str(served["session"]),
        first_msn=_int(served["first_msn"]),
        last_msn=_int(served["last_msn"]),
    )


@_reading("stream state")
def state_from_map(state: Map) -> StreamState:
    """Return the stream state that `to_map` wrote.

    Raises:
        DecodeError: the map is not that of a stream state.
    """
    last = state["last"]
    return StreamState(
        stream=_str(state["stream"]),
        target_duration_s=_int(state["target_duration_s"]),
        live=_bool(state["live"]),
        ended=_bool(state["ended"]),
        begun=_bool(state["begun"]),
        last=None if last is None else SegmentKey(*map(_int, last)),
    )


@_reading("revocation")
def revocation_from_map(change: Map) -> RevocationChange:
    """Return the revocation or reinstatement that `to_map` wrote.

    Raises:
        DecodeError: the map is neither.
    """
    place = change["subject"]
    subject = Subject(SubjectKind(place["kind"]), _str(place["value"]), _optional(place["event_id"], _str))
    if change["op"] == "reinstate":
        return Reinstatement(_str(change["id"]), subject)
    if change["op"] != "revoke":
        raise ValueError(f"op is revoke or reinstate, not {change['op']!r:.64}")
    return Revocation(
        id=_str(change["id"]),
        subject=subject,
        reason=_str(change["reason"]),
        made=_number(change["made"]),
        expires=_optional(change["expires"], _int),
        by=_str(change["by"]),
    )


@_reading("policy")
def policy_from_map(policy: Map) -> PolicyRecord:
    """Return the policy that `to_map` wrote.

    Raises:
        DecodeError: the map is not that of a policy.
    """
    text, made = _optional(policy["text"], _str), _number(policy["made"])
    return PolicyRecord(_str(policy["policy_id"]), _int(policy["version"]), text, made, _str(policy["by"]))


@_reading("blackout")
def blackout_from_map(blackout: Map) -> BlackoutRecord:
    """Return the blackout that `to_map` wrote.

    Raises:
        DecodeError: the map is not that of a blackout.
    """
    text, made = _optional(blackout["text"], _str), _number(blackout["made"])
    return BlackoutRecord(_str(blackout["blackout_id"]), _str(blackout["event_id"]), text, made, _str(blackout["by"]))


def _subject_to_map(subject: Subject) -> dict[str, Any]:
    return {"kind": subject.kind.value, "value": subject.value, "event_id": subject.event_id}


@_reading("feed state")
def feed_from_map(feed: Map) -> FeedState:
    """Return the state of a feed that `to_map` wrote.

    Raises:
        DecodeError: the map is not that of a feed's state.
    """
    return FeedState(_str(feed["source"]), Health(feed["state"]), _str(feed["why"]), _number(feed["since"]))


@_reading("feed progress")
def progress_from_map(progress: Map) -> FeedProgress:
    """Return the progress of a feed that `to_map` wrote.

    Raises:
        DecodeError: the map is not that of a feed's progress.
    """
    return FeedProgress(_str(progress["source"]), _number(progress["complete_to"]))


def _timing_to_map(timing: SegmentTiming) -> dict[str, Any]:
    return {
        "stream": timing.stream,
        "generation": timing.generation,
        "msn": timing.msn,
        "part": timing.part,
        "uri": timing.uri,
        "timeline": timing.timeline,
        "start": timing.start,
        "end": timing.end,
        "wall": timing.wall,
        "sigma_ms": timing.sigma_ms,
        "method": timing.method,
    }


def _cue_to_map(cue: Cue) -> dict[str, Any]:
    return {
        "id": cue.id,
        "rev": cue.rev,
        "op": cue.op.value,
        "type": cue.type.value,
        "cls": cue.cls.value,
        "at": _pair(cue.at),
        "msn": cue.msn,
        "part": cue.part,
        "off": cue.off,
        "wall_ms": cue.wall_ms,
        "sigma_ms": cue.sigma_ms,
        "body": cue.body,
        "late_ms": cue.late_ms,
        "before": cue.before,
    }


def _cue_from_map(cue: Map) -> Cue:
    return Cue(
        id=_str(cue["id"]),
        rev=_int(cue["rev"]),
        op=Op(cue["op"]),
        type=CueType(cue["type"]),
        cls=CueClass(cue["cls"]),
        at=_optional(cue["at"], _media_time),
        msn=_optional(cue["msn"], _int),
        part=_optional(cue["part"], _int),
        off=_optional(cue["off"], _int),
        wall_ms=_optional(cue["wall_ms"], _int),
        sigma_ms=_int(cue["sigma_ms"]),
        body=_object(cue["body"]),
        late_ms=_optional(cue["late_ms"], _int),
        before=_optional(cue["before"], _object),
    )


def _pair(at: MediaTime | None) -> list[int] | None:
    return None if at is None else [at.timeline, at.pts]


def _media_time(pair: Any) -> MediaTime:
    timeline, pts = pair
    return MediaTime(_int(timeline), Ticks(_int(pts)))


def _optional(value: Any, read: Callable[[Any], T]) -> T | None:
    return None if value is None else read(value)


def _int(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"an integer is expected, not {value!r:.64}")
    return value


def _number(value: Any) -> float:
    if type(value) not in (int, float):
        raise TypeError(f"a number is expected, not {value!r:.64}")
    return float(value)


def _str(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a text is expected, not {value!r:.64}")
    return value


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"true or false is expected, not {value!r:.64}")
    return value


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"an object is expected, not {value!r:.64}")
    return value
