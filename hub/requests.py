"""What clients ask for, read strictly into values.

A frame that is no message at all raises `DecodeError` and ends the connection (4400); a message that asks for something
wrong is a `Fault`, which is answered with an `error` frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hub.messages import unpack
from hub.playhead import MAX_LEAD_MS, MAX_RATE, Report
from kernel.cues import CueType
from kernel.errors import DecodeError
from kernel.tokens import MAX_TOKEN_CHARS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hub.settings import HubSettings
    from hub.subscriber import Format, Mode

MAX_CURSOR_CHARS = 512
"""A cursor of ours has under 120 characters; Centrifugo's positions have under 64."""

MAX_NAMES = 200
"""How many markets or teams a filter may name: what fits into a message of 4 KiB."""

CONFLATE_STEPS_MS = (0, 100, 250, 500, 1_000, 2_000, 5_000, 10_000)
"""The rates that are served: those who share one share every byte. A request is rounded up to the next."""

MODES: tuple[Mode, ...] = ("viewer", "edge", "realtime")

MAX_PTS = 1 << 62
"""Unwrapped media time fits into it for three million years."""

_WISH_NAMES = ("mode", "types", "markets", "teams", "conflate_ms", "heartbeat_ms", "lead_ms")
_WISHES = frozenset(_WISH_NAMES)
FIELDS: Mapping[str, frozenset[str]] = {
    "auth": frozenset({"token"}),
    "sub": _WISHES | {"cur"},
    "update": _WISHES,
    "unsub": frozenset(),
    "pos": frozenset({"tl", "msn", "pts", "rate", "stalled", "away"}),
    "ping": frozenset({"t"}),
}
"""What each op takes, `op` aside."""


@dataclass(frozen=True, slots=True)
class Auth:
    """Admit me, or refresh my admission."""

    token: str


@dataclass(frozen=True, slots=True)
class Wish:
    """What of a showing is wanted, and how. None in a filter stands for all."""

    mode: Mode
    types: frozenset[CueType] | None
    markets: frozenset[str] | None
    teams: frozenset[str] | None
    conflate_ms: int
    heartbeat_ms: int
    lead_ms: int = 0


@dataclass(frozen=True, slots=True)
class Sub:
    """Send me cues, from `cur` on if that can be."""

    wish: Wish
    cur: str | None


@dataclass(frozen=True, slots=True)
class Update:
    """Change what is named and leave the rest: `changes` is as the client wrote it, checked."""

    changes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Unsub:
    """Send me no more cues."""


@dataclass(frozen=True, slots=True)
class Pos:
    """My player is here."""

    report: Report


@dataclass(frozen=True, slots=True)
class Ping:
    """Tell me that you are there; `t` comes back as it is."""

    t: int | float | str | None


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a message: a code for programs, and a reason that names the field and the remedy."""

    code: str
    reason: str


Request = Auth | Sub | Update | Unsub | Pos | Ping


class _Refused(Exception):
    """Carry a fault to the one place that returns it."""

    def __init__(self, code: str, reason: str) -> None:
        self.fault = Fault(code, reason)


def parse(data: bytes, format_: Format, settings: HubSettings) -> Request | Fault:
    """Read one client frame.

    Raises:
        DecodeError: it is not a map with a string `op`, or exceeds the limits for clients.
    """
    message = unpack(data, format_)
    if not isinstance(message, dict) or not isinstance(message.get("op"), str):
        raise DecodeError("a frame is a map with a string `op`")
    op = message.pop("op")
    try:
        _check_fields(op, message)
        return _READERS[op](message, settings)
    except _Refused as refused:
        return refused.fault


def default_wish(settings: HubSettings) -> Wish:
    """Return what a `sub` without fields wishes for."""
    return Wish("viewer", None, None, None, 0, settings.heartbeat_ms)


def revised(wish: Wish, changes: Mapping[str, Any], settings: HubSettings) -> Wish:
    """Return a wish with the checked `changes` of an `update`; null in one gives it its default."""
    blank = default_wish(settings)
    read = _wishes({name: value for name, value in changes.items() if value is not None}, settings)
    return Wish(
        **{
            name: getattr(wish if name not in changes else read if changes[name] is not None else blank, name)
            for name in _WISH_NAMES
        }
    )


def _check_fields(op: str, message: Mapping[str, Any]) -> None:
    fields = FIELDS.get(op)
    if fields is None:
        raise _Refused("unknown_op", f"op {op[:32]!r}: use {', '.join(FIELDS)}")
    for name in message:
        if name not in fields:
            raise _Refused("bad_field", f"{name[:32]!r} is no field of `{op}`: use {', '.join(sorted(fields))}")


def _auth(message: Mapping[str, Any], _: HubSettings) -> Auth:
    token = message.get("token")
    if not isinstance(token, str) or not 0 < len(token) <= MAX_TOKEN_CHARS:
        raise _Refused("bad_field", f"token: a string of 1 to {MAX_TOKEN_CHARS} characters")
    return Auth(token)


def _ping(message: Mapping[str, Any], _: HubSettings) -> Ping:
    t = message.get("t")
    if isinstance(t, bool) or not isinstance(t, int | float | str | None):
        raise _Refused("bad_field", "t: a number or a string")
    return Ping(t)


def _unsub(_: Mapping[str, Any], __: HubSettings) -> Unsub:
    return Unsub()


def _pos(message: Mapping[str, Any], _: HubSettings) -> Pos:
    places = [name for name in ("tl", "msn") if name in message]
    if len(places) != 1:
        raise _Refused("bad_field", "pos: the timeline `tl`, or `msn`, the segment that the picture is in; one of them")
    place = _needed_integer(message, places[0], 0, MAX_PTS)
    pts = _needed_integer(message, "pts", -MAX_PTS, MAX_PTS)
    rate, stalled = message.get("rate"), message.get("stalled", False)
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= MAX_RATE:
        raise _Refused("bad_field", f"rate: a number from 0 (paused) to {MAX_RATE:g}")
    away = message.get("away", False)
    for name, value in (("stalled", stalled), ("away", away)):
        if not isinstance(value, bool):
            raise _Refused("bad_field", f"{name}: true or false")
    timeline, msn = (place, None) if places[0] == "tl" else (None, place)
    return Pos(Report(pts, float(rate), stalled, timeline, msn, away))


def _sub(message: Mapping[str, Any], settings: HubSettings) -> Sub:
    cur = message.get("cur")
    if cur is not None and not (isinstance(cur, str) and len(cur) <= MAX_CURSOR_CHARS):
        raise _Refused("bad_field", "cur: the string that the last `hb`, `snap` or `bye` gave")
    return Sub(_wishes({name: value for name, value in message.items() if value is not None}, settings), cur)


def _update(message: Mapping[str, Any], settings: HubSettings) -> Update:
    _wishes({name: value for name, value in message.items() if value is not None}, settings)
    return Update(message)


def _wishes(message: Mapping[str, Any], settings: HubSettings) -> Wish:
    mode = message.get("mode", "viewer")
    if mode not in MODES:
        raise _Refused("bad_field", f"mode: one of {', '.join(MODES)}")
    low, high = settings.min_heartbeat_ms, settings.max_heartbeat_ms
    heartbeat_ms = _integer(message, "heartbeat_ms", settings.heartbeat_ms, low, high)
    conflate_ms = _integer(message, "conflate_ms", 0, 0, CONFLATE_STEPS_MS[-1])
    types = _types(message.get("types"))
    bets = types is None or not types.isdisjoint({CueType.MARKET, CueType.PRICE, CueType.SETTLE})
    return Wish(
        mode,
        types,
        _names(message, "markets"),
        _names(message, "teams"),
        min(step for step in CONFLATE_STEPS_MS if step >= conflate_ms),
        # PROTOCOL, promise 4: with markets subscribed silence must be short to be noticed.
        min(heartbeat_ms, settings.max_betting_heartbeat_ms) if bets else heartbeat_ms,
        _integer(message, "lead_ms", 0, 0, MAX_LEAD_MS),
    )


def _integer(message: Mapping[str, Any], name: str, default: int, low: int, high: int) -> int:
    value = message.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not (low <= value <= high or value == default):
        raise _Refused("bad_field", f"{name}: an integer from {low} to {high}")
    return value


def _needed_integer(message: Mapping[str, Any], name: str, low: int, high: int) -> int:
    value = message.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise _Refused("bad_field", f"{name}: an integer from {low} to {high}")
    return value


def _names(message: Mapping[str, Any], field: str) -> frozenset[str] | None:
    names = message.get(field)
    if names is None:
        return None
    if not isinstance(names, list) or not 1 <= len(names) <= MAX_NAMES:
        raise _Refused("bad_field", f"{field}: a list of 1 to {MAX_NAMES} names; leave it out for all")
    if not all(isinstance(name, str) and name for name in names):
        raise _Refused("bad_field", f"{field}: every name in it is a text")
    return frozenset(names)


def _types(names: object) -> frozenset[CueType] | None:
    if names is None:
        return None
    if not isinstance(names, list) or not names:
        raise _Refused("bad_field", "types: a list of at least one cue type; leave it out for all")
    types = set()
    for name in names:
        if not isinstance(name, str) or name not in CueType.__members__.values():
            raise _Refused("bad_field", f"types: {str(name)[:32]!r} is no cue type; use {', '.join(CueType)}")
        types.add(CueType(name))
    return frozenset(types)


_READERS: Mapping[str, Callable[[Mapping[str, Any], HubSettings], Request]] = {
    "auth": _auth,
    "sub": _sub,
    "update": _update,
    "unsub": _unsub,
    "pos": _pos,
    "ping": _ping,
}
