"""What stands on the socket: client frames read strictly into values, server maps written and framed once.

The protocol's names and limits are PROTOCOL.md's. A frame that is no message at all raises `DecodeError` and ends the
connection (4400); a message that asks for something wrong is a `Fault`, which is answered with an `error` frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from websockets.frames import Frame, Opcode

from kernel.cues import CueType, Entry
from kernel.errors import DecodeError
from kernel.strict_json import CLIENT_LIMITS, decode, encode
from kernel.tokens import MAX_TOKEN_CHARS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hub.settings import HubSettings
    from hub.subscriber import Mode

VERSION = 1
SUBPROTOCOL_JSON = "lockstep.v1.json"

MAX_CURSOR_CHARS = 512
"""A cursor of ours has under 120 characters; Centrifugo's positions have under 64."""

_RESERVED = frozenset(
    {"op", "o", "id", "rev", "kind", "cls", "type", "tl", "pts", "msn", "part", "off", "wall", "sigma_ms"}
    | {"late_ms", "before"}
)
_FIELDS: Mapping[str, frozenset[str]] = {
    "auth": frozenset({"op", "token"}),
    "sub": frozenset({"op", "mode", "types", "heartbeat_ms", "cur"}),
    "unsub": frozenset({"op"}),
    "ping": frozenset({"op", "t"}),
}
_LATER: Mapping[str, frozenset[str]] = {"sub": frozenset({"markets", "teams", "conflate_ms", "lead_ms"})}
"""Fields of the protocol that this version does not serve."""
_LATER_OPS = frozenset({"update", "pos"})


@dataclass(frozen=True, slots=True)
class Auth:
    """Admit me, or refresh my admission."""

    token: str


@dataclass(frozen=True, slots=True)
class Sub:
    """Send me cues. `types` None stands for all."""

    mode: Mode
    types: frozenset[CueType] | None
    heartbeat_ms: int
    cur: str | None


@dataclass(frozen=True, slots=True)
class Unsub:
    """Send me no more cues."""


@dataclass(frozen=True, slots=True)
class Ping:
    """Tell me that you are there; `t` comes back as it is."""

    t: int | float | str | None


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a message: a code for programs, and a reason that names the field and the remedy."""

    code: str
    reason: str


ClientMessage = Auth | Sub | Unsub | Ping


def parse(data: bytes, settings: HubSettings) -> ClientMessage | Fault:
    """Read one client frame.

    Raises:
        DecodeError: it is not a JSON object with a string `op`, or exceeds the limits for clients.
    """
    message = decode(data, CLIENT_LIMITS)
    if not isinstance(message, dict) or not isinstance(message.get("op"), str):
        raise DecodeError("a frame is a JSON object with a string `op`")
    op = message["op"]
    if op in _LATER_OPS:
        return Fault("unsupported", f"{op}: this server does not take it yet")
    fields = _FIELDS.get(op)
    if fields is None:
        return Fault("unknown_op", f"op {op[:32]!r}: use auth, sub, unsub or ping")
    for name in message:
        if name in _LATER.get(op, ()):
            return Fault("unsupported", f"{name}: this server does not take it in `{op}` yet; leave it out")
        if name not in fields:
            return Fault("bad_field", f"{name[:32]!r} is no field of `{op}`: use {', '.join(sorted(fields - {'op'}))}")
    if op == "auth":
        return _auth(message)
    if op == "sub":
        return _sub(message, settings)
    return _ping(message) if op == "ping" else Unsub()


def _auth(message: Mapping[str, Any]) -> Auth | Fault:
    token = message.get("token")
    if not isinstance(token, str) or not 0 < len(token) <= MAX_TOKEN_CHARS:
        return Fault("bad_field", f"token: a string of 1 to {MAX_TOKEN_CHARS} characters")
    return Auth(token)


def _ping(message: Mapping[str, Any]) -> Ping | Fault:
    t = message.get("t")
    if isinstance(t, bool) or not isinstance(t, int | float | str | None):
        return Fault("bad_field", "t: a number or a string")
    return Ping(t)


def _sub(message: Mapping[str, Any], settings: HubSettings) -> Sub | Fault:
    mode = message.get("mode", "viewer")
    if mode == "realtime":
        return Fault("unsupported", "mode: realtime is not served yet; use viewer or edge")
    if mode not in ("viewer", "edge"):
        return Fault("bad_field", "mode: viewer or edge")
    types = _types(message.get("types"))
    if isinstance(types, Fault):
        return types
    heartbeat_ms = message.get("heartbeat_ms", settings.heartbeat_ms)
    low, high = settings.min_heartbeat_ms, settings.max_heartbeat_ms
    if isinstance(heartbeat_ms, bool) or not isinstance(heartbeat_ms, int) or not low <= heartbeat_ms <= high:
        return Fault("bad_field", f"heartbeat_ms: an integer from {low} to {high}")
    cur = message.get("cur")
    if cur is not None and not (isinstance(cur, str) and len(cur) <= MAX_CURSOR_CHARS):
        return Fault("bad_field", "cur: the string that the last `hb` or `bye` gave")
    return Sub(mode, types, heartbeat_ms, cur)


def _types(names: object) -> frozenset[CueType] | Fault | None:
    if names is None:
        return None
    if not isinstance(names, list) or not names:
        return Fault("bad_field", "types: a list of at least one cue type; leave it out for all")
    types = set()
    for name in names:
        if not isinstance(name, str) or name not in CueType.__members__.values():
            return Fault("bad_field", f"types: {str(name)[:32]!r} is no cue type; use {', '.join(CueType)}")
        types.add(CueType(name))
    return frozenset(types)


def cue_map(entry: Entry) -> dict[str, Any]:
    """Return an entry as it stands on the wire. Nothing in it differs between subscribers."""
    cue = entry.cue
    places = {
        "tl": cue.at.timeline if cue.at is not None else None,
        "pts": cue.at.pts if cue.at is not None else None,
        "msn": cue.msn,
        "part": cue.part,
        "off": cue.off,
        "wall": cue.wall_ms,
    }
    message: dict[str, Any] = {
        "op": "cue",
        "o": entry.o,
        "id": cue.id,
        "rev": cue.rev,
        "kind": cue.op.value,
        "cls": cue.cls.value,
        "type": cue.type.value,
        **{name: value for name, value in places.items() if value is not None},
        "sigma_ms": cue.sigma_ms,
    }
    if cue.late_ms is not None:
        message["late_ms"] = cue.late_ms
    # A vendor's body must not say where or what the cue is.
    message.update((name, value) for name, value in cue.body.items() if name not in _RESERVED)
    if cue.before is not None:
        message["before"] = dict(cue.before)
    return message


def frame(message: Mapping[str, Any]) -> bytes:
    """Return a map as one unmasked text frame (RFC 6455, 5.2), the same bytes for everyone."""
    return Frame(Opcode.TEXT, encode(message).encode()).serialize(mask=False)
