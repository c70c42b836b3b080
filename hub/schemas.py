"""What stands on the socket, as JSON Schema (draft 2020-12): the source of the AsyncAPI document.

The enumerations are the code's own. A test holds every frame of a running hub against these, and every field that a
client may send against what the parser takes.
"""

from __future__ import annotations

from typing import Any

from hub.close_codes import CloseCode
from hub.messages import VERSION
from hub.playhead import MAX_LEAD_MS, MAX_RATE
from hub.requests import CONFLATE_STEPS_MS, FIELDS, MAX_CURSOR_CHARS, MAX_NAMES, MAX_PTS, MODES
from kernel.cues import CueClass, CueType, Op
from kernel.feed_state import Health
from kernel.tokens import MAX_TOKEN_CHARS

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_BOOL: Schema = {"type": "boolean"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_INTEGER: Schema = {"type": "integer"}
_UNIX_MS: Schema = {"type": "integer", "description": "Unix milliseconds."}
_CURSOR: Schema = {"type": "string", "maxLength": MAX_CURSOR_CHARS, "description": "Opaque: give it back in `sub`."}
_HASH: Schema = {
    "type": "string",
    "pattern": "^[0-9a-f]{16}$",
    "description": "First 8 bytes of the SHA-256 of the visible state in canonical form (RFC 8785).",
}


def _enum(values: Any, description: str = "") -> Schema:
    schema: Schema = {"type": "string", "enum": [getattr(value, "value", value) for value in values]}
    return schema | ({"description": description} if description else {})


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _list(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, **more}


def _object(op: str, fields: Schema, *, optional: Schema | None = None, extra: bool = False) -> Schema:
    return {
        "type": "object",
        "properties": {"op": {"const": op}, **fields, **(optional or {})},
        "required": ["op", *fields],
        "additionalProperties": extra,
    }


_MARKET: Schema = {
    "type": "object",
    "properties": {
        "mid": _TEXT,
        "st": _enum(["open", "suspended", "closed", "settled"]),
        "ver": _COUNT,
        "delay_s": {"type": "number", "minimum": 0},
        "spec": {},
    },
    "required": ["mid", "st"],
}
_PRICE: Schema = {
    "type": "object",
    "properties": {
        "mid": _TEXT,
        "ver": _COUNT,
        "out": _list(
            {
                "type": "object",
                "properties": {"oid": _TEXT, "milli": {"type": "integer", "description": "Odds in thousandths."}},
                "required": ["oid", "milli"],
            }
        ),
    },
    "required": ["mid", "out"],
}

_WISHES: Schema = {
    "mode": _enum(MODES),
    "types": _or_null(_list(_enum(CueType), minItems=1)),
    "markets": _or_null(_list(_TEXT, minItems=1, maxItems=MAX_NAMES)),
    "teams": _or_null(_list(_TEXT, minItems=1, maxItems=MAX_NAMES)),
    "conflate_ms": {"type": "integer", "minimum": 0, "maximum": CONFLATE_STEPS_MS[-1]},
    "heartbeat_ms": {"type": "integer", "minimum": 1},
    "lead_ms": {
        "type": "integer",
        "minimum": 0,
        "maximum": MAX_LEAD_MS,
        "description": "How long before its picture a cue may come to a viewer that reports its playhead.",
    },
}

_CLIENT_FIELDS: Schema = {
    **_WISHES,
    "cur": _CURSOR,
    "token": {"type": "string", "minLength": 1, "maxLength": MAX_TOKEN_CHARS},
    "t": {"type": ["number", "string", "null"]},
    "tl": {"type": "integer", "minimum": 0, "description": "Timeline of the picture on show; this or `msn`."},
    "msn": {"type": "integer", "minimum": 0, "description": "Number of the segment that the picture on show is in."},
    "pts": {
        "type": "integer",
        "minimum": -MAX_PTS,
        "maximum": MAX_PTS,
        "description": "Of the picture on show, in 90 kHz ticks; with `msn` it may be reduced modulo 2^33.",
    },
    "rate": {"type": "number", "minimum": 0, "maximum": MAX_RATE, "description": "How fast it plays; 0: paused."},
    "stalled": {"type": "boolean", "description": "It waits for data."},
    "away": {
        "type": "boolean",
        "description": "Behind that segment another showing is on show, in place of a blackout; `pts` is ignored.",
    },
}
_NEEDED = frozenset({"token", "pts", "rate"})

CLIENT: dict[str, Schema] = {
    op: _object(
        op,
        {name: _CLIENT_FIELDS[name] for name in sorted(fields & _NEEDED)},
        optional={name: _CLIENT_FIELDS[name] for name in sorted(fields - _NEEDED)},
    )
    for op, fields in FIELDS.items()
}
"""What a client sends, by op."""
CLIENT["pos"]["oneOf"] = [{"required": ["tl"]}, {"required": ["msn"]}]

_CUE_OPTIONAL: Schema = {
    "tl": {"type": "integer", "description": "Timeline."},
    "pts": {"type": "integer", "description": "Unwrapped 90 kHz ticks: the frame that shows it."},
    "msn": {"type": "integer", "description": "Media sequence number in the relay's playlist."},
    "part": _COUNT,
    "off": {"type": "integer", "description": "Ticks after that segment's first picture."},
    "wall": _UNIX_MS,
    "late_ms": {"type": "integer", "description": "Only if it was sealed after its picture was out."},
    "before": {"type": "object", "description": "On amend and retract: what it replaces."},
    "market": _MARKET | {"required": ["mid"]},
    "price": _PRICE,
    "inv": {
        "type": "object",
        "properties": {"mid": _TEXT, "min_ver": _COUNT},
        "required": ["mid", "min_ver"],
        "additionalProperties": False,
    },
    "ver": _COUNT,
}

SERVER: dict[str, Schema] = {
    "hello": _object(
        "hello",
        {
            "v": {"const": VERSION},
            "node": _TEXT,
            "event_id": _TEXT,
            "epoch": _or_null(_TEXT),
            "now": _UNIX_MS,
            "heartbeat_ms": _COUNT,
            "resume_s": _COUNT,
            "limits": {"type": "object"},
        },
    ),
    "sub": _object(
        "sub",
        {**_WISHES, "epoch": _or_null(_TEXT), "cur": _or_null(_CURSOR), "resumed": _BOOL},
        optional={"why": _enum(["epoch_changed", "window_exceeded", "filter_changed", "slow"])},
    ),
    "unsub": _object("unsub", {}),
    "snap": _object(
        "snap",
        {
            "i": {"type": "integer", "minimum": 1},
            "n": {"type": "integer", "minimum": 1},
            "as_of": _or_null(
                {
                    "type": "object",
                    "properties": {"tl": _INTEGER, "pts": _INTEGER},
                    "required": ["tl", "pts"],
                    "additionalProperties": False,
                }
            ),
            "hash": _HASH,
            "cur": _CURSOR,
            "state": {"type": "object"},
        },
    ),
    "cue": _object(
        "cue",
        {
            "o": {"type": "integer", "minimum": 0, "description": "Offset in the showing's log: drop a repeat by it."},
            "id": {"type": "string", "description": "{source}:{id} of the fact."},
            "rev": {"type": "integer", "minimum": 0},
            "kind": _enum(Op),
            "cls": _enum(CueClass),
            "type": _enum(CueType),
            "sigma_ms": _COUNT,
        },
        optional=_CUE_OPTIONAL,
        extra=True,
    ),
    "hb": _object(
        "hb",
        {
            "now": _UNIX_MS,
            "cur": _or_null(_CURSOR),
            "sent": {"type": "integer", "minimum": 0, "description": "Cues so far on this connection."},
            "feeds": {"type": "object", "additionalProperties": _enum(Health)},
            "sync": _enum(["ok", "lost", "waiting"]),
            "behind_ms": _or_null(_COUNT),
            "may_wager": _BOOL,
        },
        optional={"hash": _HASH},
    ),
    "feed": _object("feed", {"source": _TEXT, "state": _enum(Health), "why": _TEXT}),
    "session": _object(
        "session",
        {
            "state": _enum(["leaving"]),
            "ends": {"type": "integer", "description": "When it is cut, in Unix milliseconds."},
            "code": {"type": "string", "description": "Why: a limit's code, such as session_limit, or dismissed."},
        },
        optional={"by": {"type": "string", "description": "The session that takes its place."}},
    ),
    "resync": _object("resync", {"why": _enum(["slow", "lag", "blackout"])}),
    "pong": _object("pong", {"t": {"type": ["number", "string", "null"]}, "now": _UNIX_MS}),
    "error": _object("error", {"code": _TEXT, "reason": _TEXT}, optional={"retry_ms": _COUNT}),
    "bye": _object(
        "bye",
        {"code": {"type": "integer", "enum": [int(code) for code in CloseCode]}, "reason": _TEXT},
        optional={"retry_ms": _COUNT, "cur": _CURSOR},
    ),
}
"""What the server sends, by op."""
