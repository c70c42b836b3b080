"""A blackout as operators write it, read strictly into its terms; docs/blackout.md has the format.

Its zones are conditions on a place (`relay/place/conditions.py`). Who is inside, `relay/blackouts.py` decides.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from kernel.blackouts import Window
from kernel.dates import parse_date
from kernel.errors import DecodeError, PlaylistError
from kernel.pts import Ticks
from kernel.showings import EVENT_ID
from kernel.strict_json import Limits, decode
from kernel.timeline import MediaTime
from relay.place.condition_text import ConditionReader
from relay.place.conditions import Condition
from relay.place.fields import choice_of, inside, list_of, number_of, object_of, quoted, text_of
from relay.place.geometry import METRES_PER_MILE, Polygon
from relay.place.model import ClassAction, NetworkClass

LIMITS = Limits(max_bytes=64 << 10, max_depth=32, max_nodes=20_000)
"""A blackout's text: some 3,000 corners of polygons, or 6,000 postcodes; conditions nest as in policies of place."""

MAX_ZONES = 100
MAX_PRECEDENCE = 1_000_000
_MAX_NAME_CHARS = 64
_MAX_TICKS = 1 << 53
_MAX_TIMELINE = 1 << 31
_MS = 1000
_ZONED = re.compile(r".*(?:[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)")

_FIELDS = {
    "event_id": True, "blackout_zones": True, "vpn_policy": False, "start": False, "end": False, "start_media": False,
    "end_media": False, "precedence": False,
}  # fmt: skip
_ZONE = {"type": True, "name": False, "action": True, "redirect_stream": False, "territory": False}


class Action(StrEnum):
    """What is done with who is inside."""

    BLOCK = "block"
    REDIRECT = "redirect"


class Territory(StrEnum):
    """Which place of somebody's is meant: where they are, or where the account is at home."""

    PRESENT = "present"
    HOME = "home"


class ZoneType(StrEnum):
    """What a zone is drawn by."""

    DMA = "dma"
    POLYGON = "polygon"
    CIRCLE = "circle"
    REGION = "region"
    COUNTRY = "country"
    ZIP = "zip"
    CIDR = "cidr"
    ALL = "all"
    WHERE = "where"


_DRAWN_BY: Mapping[ZoneType, Mapping[str, bool]] = {
    ZoneType.DMA: {"code": False, "codes": False, "radius_miles": False},
    ZoneType.POLYGON: {"ring": False, "rings": False},
    ZoneType.CIRCLE: {"lon": True, "lat": True, "radius_m": False, "radius_miles": False},
    ZoneType.REGION: {"code": False, "codes": False},
    ZoneType.COUNTRY: {"code": False, "codes": False},
    ZoneType.ZIP: {"code": False, "codes": False, "country": False},
    ZoneType.CIDR: {"code": False, "codes": False},
    ZoneType.ALL: {},
    ZoneType.WHERE: {"where": True},
}
_AT_HOME = frozenset({ZoneType.ZIP, ZoneType.COUNTRY, ZoneType.ALL, ZoneType.WHERE})
"""What can be told of a postcode without a map of postcodes."""
_JOINED = frozenset({"any", "all", "none"})
_TOLD_AT_HOME = frozenset({"country", "postcode"})


@dataclass(frozen=True, slots=True)
class BlackoutZone:
    """Where it is dark.

    Args:
        name: what operators call it, empty if nothing.
        where: the condition.
        home: whether the account's home is meant, not where somebody is.
        redirect: the showing that is shown instead; None: nothing is.
    """

    name: str
    where: Condition
    home: bool
    redirect: str | None


@dataclass(frozen=True, slots=True)
class BlackoutTerms:
    """What a blackout's text says.

    Args:
        event_id: the showing that it concerns.
        zones: where it is dark.
        actions: what is done about each class of networks; those that are not in it are allowed.
        window: when it is dark.
        precedence: of several that apply the one with the highest wins.
        polygons: those of all zones, by bit.
    """

    event_id: str
    zones: tuple[BlackoutZone, ...]
    actions: Mapping[NetworkClass, ClassAction]
    window: Window
    precedence: int
    polygons: tuple[Polygon, ...]

    @property
    def redirects(self) -> list[str]:
        """Return the showings that are shown instead, each once."""
        return list(dict.fromkeys(zone.redirect for zone in self.zones if zone.redirect is not None))


def read_blackout(text: bytes | str | Mapping[str, object]) -> BlackoutTerms:
    """Read a blackout's text, or what was decoded from it.

    Raises:
        MessageTooLarge: the text is longer than 64 KiB, or nests or counts absurdly.
        DecodeError: it is not JSON, or a field is unknown, missing or wrong; the error begins with the field's path.
    """
    said = text if isinstance(text, Mapping) else decode(text, LIMITS)
    if not isinstance(said, Mapping):
        raise DecodeError(f"the body is an object, the blackout, not {quoted(said)}")
    fields = object_of(said, "", _FIELDS)
    event_id = _event(fields["event_id"], "event_id")
    reader = ConditionReader()
    listed = list_of(fields["blackout_zones"], "blackout_zones")
    if len(listed) > MAX_ZONES:
        raise DecodeError(f"blackout_zones: {len(listed)} zones; a blackout has at most {MAX_ZONES}")
    zones = tuple(_zone(zone, f"blackout_zones[{n}]", event_id, reader) for n, zone in enumerate(listed))
    precedence = _whole(fields.get("precedence", 0), "precedence", -MAX_PRECEDENCE, MAX_PRECEDENCE)
    actions = _actions(fields["vpn_policy"]) if "vpn_policy" in fields else {}
    return BlackoutTerms(event_id, zones, actions, _window(fields), precedence, tuple(reader.polygons))


def _zone(value: object, path: str, event_id: str, reader: ConditionReader) -> BlackoutZone:
    if not isinstance(value, Mapping):
        raise DecodeError(f"{path}: an object is expected, not {quoted(value)}")
    kind = choice_of(value.get("type"), f"{path}.type", ZoneType)
    fields = object_of(value, path, {**_ZONE, **_DRAWN_BY[kind]})
    home = choice_of(fields.get("territory", "present"), f"{path}.territory", Territory) is Territory.HOME
    if home and kind not in _AT_HOME:
        raise DecodeError(f"{path}.territory: of a home its postcode is known; use {', '.join(sorted(_AT_HOME))}")
    redirect = None
    if choice_of(fields["action"], f"{path}.action", Action) is Action.REDIRECT:
        redirect = _event(fields.get("redirect_stream"), f"{path}.redirect_stream")
        if redirect == event_id:
            raise DecodeError(f"{path}.redirect_stream: it is the showing that is blacked out; name another one")
    elif "redirect_stream" in fields:
        raise DecodeError(f"{path}.redirect_stream: it goes with the action redirect")
    name = text_of(fields["name"], f"{path}.name", most=_MAX_NAME_CHARS) if "name" in fields else ""
    if kind is ZoneType.WHERE:
        where = reader.read(fields["where"], f"{path}.where")
        if home:
            _check_home(fields["where"], f"{path}.where")
    else:
        where = reader.read(_condition(kind, fields, path), path)
    return BlackoutZone(name, where, home, redirect)


def _check_home(condition: Mapping[str, Any], path: str) -> None:
    """Check that a condition that can be read asks nothing that is not known of homes."""
    ((kind, content),) = condition.items()
    if kind in _JOINED:
        for number, part in enumerate(content):
            _check_home(part, f"{path}.{kind}[{number}]")
    elif kind not in _TOLD_AT_HOME:
        raise DecodeError(f"{path}.{kind}: of a home its postcode is known; use {', '.join(sorted(_TOLD_AT_HOME))}")


def _condition(kind: ZoneType, fields: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return the condition of a zone as rules of place have it."""
    match kind:
        case ZoneType.ALL:
            return {"all": []}
        case ZoneType.POLYGON:
            return {"polygon": fields["rings"] if _one_of(fields, path, "ring", "rings") else [fields["ring"]]}
        case ZoneType.CIRCLE:
            radius = fields.get("radius_m")
            if _one_of(fields, path, "radius_m", "radius_miles"):
                radius = METRES_PER_MILE * number_of(fields["radius_miles"], f"{path}.radius_miles", 0.001, 12_451)
            return {"circle": {"lon": fields["lon"], "lat": fields["lat"], "radius_m": radius}}
    codes = fields["codes"] if _one_of(fields, path, "code", "codes") else [fields["code"]]
    match kind:
        case ZoneType.DMA:
            radius = {"radius_miles": fields["radius_miles"]} if "radius_miles" in fields else {}
            return {"dma": {"codes": codes, **radius}}
        case ZoneType.ZIP:
            return {"postcode": [{"country": fields.get("country", "US"), "codes": codes}]}
        case _:
            return {kind.value: codes}


def _one_of(fields: Mapping[str, Any], path: str, one: str, other: str) -> bool:
    """Return whether it is the other that is there; exactly one must be."""
    if (one in fields) is (other in fields):
        raise DecodeError(f"{path}: exactly one of {one} and {other} is expected")
    return other in fields


def _actions(value: object) -> Mapping[NetworkClass, ClassAction]:
    if isinstance(value, str):
        # Two thirds of Safari's users are behind it, and it keeps their region.
        action = choice_of(value, "vpn_policy", ClassAction)
        return {network: action for network in NetworkClass if network is not NetworkClass.PRIVATE_RELAY}
    classes = object_of(value, "vpn_policy", dict.fromkeys(NetworkClass, False))
    return {
        NetworkClass(name): choice_of(action, inside("vpn_policy", name), ClassAction)
        for name, action in classes.items()
    }


def _window(fields: Mapping[str, Any]) -> Window:
    by_media = ("start_media", "end_media")
    # An `end` may stand beside them: by it those are ended that are deleted.
    if "start" in fields and any(name in fields for name in by_media):
        raise DecodeError("start: times of the picture or media times, not both")
    start, end = (_date(fields[name], name) if name in fields else None for name in ("start", "end"))
    start_media, end_media = (_media(fields[name], name) if name in fields else None for name in by_media)
    if start is not None and end is not None and end <= start:
        raise DecodeError("end: it lies behind start")
    if start_media is not None and end_media is not None and end_media <= start_media:
        raise DecodeError("end_media: it lies behind start_media")
    return Window(start, end, start_media, end_media)


def _date(value: object, path: str) -> float:
    """Return a time of day in Unix seconds."""
    if not isinstance(value, str) or not _ZONED.fullmatch(value[10:]):
        raise DecodeError(f"{path}: a date with its zone is expected, such as '2026-03-27T19:30:00Z'")
    try:
        return parse_date(value)
    except PlaylistError as error:
        raise DecodeError(f"{path}: {error}") from None


def _media(value: object, path: str) -> MediaTime:
    fields = object_of(value, path, {"tl": True, "pts": True})
    return MediaTime(
        _whole(fields["tl"], f"{path}.tl", 0, _MAX_TIMELINE),
        Ticks(_whole(fields["pts"], f"{path}.pts", -_MAX_TICKS, _MAX_TICKS)),
    )


def _whole(value: object, path: str, least: int, most: int) -> int:
    number = number_of(value, path, least, most)
    if not math.isclose(number, round(number), abs_tol=0.0) or isinstance(value, float):
        raise DecodeError(f"{path}: a whole number is expected, not {quoted(value)}")
    assert isinstance(value, int)
    return value


def _event(value: object, path: str) -> str:
    if not isinstance(value, str) or not EVENT_ID.fullmatch(value):
        raise DecodeError(f"{path}: an event id is expected, 1 to 64 letters, digits, '_' or '-', not {quoted(value)}")
    return value
