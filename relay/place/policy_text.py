"""A policy as operators write it, read strictly into its terms; docs/place.md has the format.

What is absent allows: a section without which everybody may watch, a class that nobody minds. What is unknown in a rule
does not: `unknown` is apply for a deny rule and skip for an allow rule unless it is written otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from kernel.errors import DecodeError
from kernel.strict_json import Limits, decode
from relay.place.condition_text import ConditionReader, check_market
from relay.place.conditions import Condition
from relay.place.fields import choice_of, flag_of, inside, list_of, number_of, object_of, quoted, text_of
from relay.place.geometry import Polygon
from relay.place.gps import GpsTerms
from relay.place.model import ClassAction, NetworkClass

LIMITS = Limits(max_bytes=256 << 10, max_depth=32, max_nodes=200_000)
"""A policy's text; a rule's polygon, eight conditions deep, nests 26 deep."""

MAX_RULES = 200
POLICY_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MAX_NAME_CHARS = 64
_MAX_AGE_S = 86_400.0
_MAX_TOLERANCE_M = 20_040_000.0
_MAX_SPEED_MPS = 10_000.0

_FIELDS = {
    "policy_id": True, "watch": False, "wager": False, "networks": False, "vpn_policy": False, "gps": False,
    "geo_mismatch_action": False, "markets": False,
}  # fmt: skip
_GPS_FIELDS = ("required", "max_age_s", "tolerance_m", "missing", "stale", "implausible", "max_speed_mps")


class Effect(StrEnum):
    """What a rule does where it applies, and what is done where none applies."""

    ALLOW = "allow"
    DENY = "deny"


class WhenUnknown(StrEnum):
    """What becomes of a rule whose condition is unknown."""

    APPLY = "apply"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Rule:
    """A named condition and its effect.

    Args:
        name: as it is recorded.
        effect: what it does where `where` holds.
        where: the condition.
        applies_unknown: whether it does that as well where it is unknown whether `where` holds.
        path: where it stands in the policy.
    """

    name: str
    effect: Effect
    where: Condition
    applies_unknown: bool
    path: str


@dataclass(frozen=True, slots=True)
class Section:
    """The rules for watching, or for wagering, and what is done where none applies."""

    default: Effect
    rules: tuple[Rule, ...]


EVERYBODY = Section(Effect.ALLOW, ())


@dataclass(frozen=True, slots=True)
class Terms:
    """What a policy's text says.

    Args:
        policy_id: its name.
        watch: the rules for watching.
        wager: the rules for wagering.
        actions: what is done about each class; those that are not in it are allowed.
        gps: what is asked of devices' positions.
        asks_gps: whether the text speaks of them at all.
        markets: the operator's polygons of markets, by code.
        polygons: those of all conditions, by bit.
        vertices: how many corners all polygons have together.
    """

    policy_id: str
    watch: Section
    wager: Section
    actions: Mapping[NetworkClass, ClassAction]
    gps: GpsTerms
    asks_gps: bool
    markets: Mapping[str, Polygon]
    polygons: tuple[Polygon, ...]
    vertices: int


def read_policy(text: bytes | str | Mapping[str, object]) -> Terms:
    """Read a policy's text, or what was decoded from it.

    Raises:
        MessageTooLarge: the text is longer than 256 KiB, or nests or counts absurdly.
        DecodeError: it is not JSON, or a field is unknown, missing or wrong; the error begins with the field's path.
    """
    fields = object_of(text if isinstance(text, Mapping) else decode(text, LIMITS), "", _FIELDS)
    policy_id = fields["policy_id"]
    if not isinstance(policy_id, str) or not POLICY_ID.fullmatch(policy_id):
        raise DecodeError(f"policy_id: 1 to 64 letters, digits, '_' or '-' are expected, not {quoted(policy_id)}")
    reader = ConditionReader()
    watch, wager = (
        _section(fields[name], name, reader) if name in fields else EVERYBODY for name in ("watch", "wager")
    )
    if len(watch.rules) + len(wager.rules) > MAX_RULES:
        raise DecodeError(f"wager.rules: a policy has at most {MAX_RULES} rules, of both sections together")
    polygons = tuple(reader.polygons)
    return Terms(
        policy_id=policy_id,
        watch=watch,
        wager=wager,
        actions=_actions(fields),
        gps=_gps(fields),
        asks_gps="gps" in fields,
        markets=_markets(fields.get("markets", {}), reader),
        polygons=polygons,
        vertices=reader.vertices,
    )


def _section(value: object, path: str, reader: ConditionReader) -> Section:
    fields = object_of(value, path, {"default": True, "rules": False})
    rules = list_of(fields.get("rules", []), f"{path}.rules", least=0)
    if len(rules) > MAX_RULES:
        raise DecodeError(f"{path}.rules: a policy has at most {MAX_RULES} rules, of both sections together")
    return Section(
        choice_of(fields["default"], f"{path}.default", Effect),
        tuple(_rule(rule, f"{path}.rules[{n}]", reader) for n, rule in enumerate(rules)),
    )


def _rule(value: object, path: str, reader: ConditionReader) -> Rule:
    fields = object_of(value, path, {"name": True, "effect": True, "where": True, "unknown": False})
    effect = choice_of(fields["effect"], f"{path}.effect", Effect)
    unknown = WhenUnknown.APPLY if effect is Effect.DENY else WhenUnknown.SKIP
    if "unknown" in fields:
        unknown = choice_of(fields["unknown"], f"{path}.unknown", WhenUnknown)
    return Rule(
        text_of(fields["name"], f"{path}.name", most=_MAX_NAME_CHARS),
        effect,
        reader.read(fields["where"], f"{path}.where"),
        unknown is WhenUnknown.APPLY,
        path,
    )


def _actions(fields: Mapping[str, object]) -> Mapping[NetworkClass, ClassAction]:
    if "vpn_policy" in fields:
        if "networks" in fields:
            raise DecodeError("vpn_policy: it stands for all of `networks`; write one of them")
        action = choice_of(fields["vpn_policy"], "vpn_policy", ClassAction)
        return {network: action for network in NetworkClass if network is not NetworkClass.PRIVATE_RELAY}
    classes = object_of(fields.get("networks", {}), "networks", dict.fromkeys(NetworkClass, False))
    return {
        NetworkClass(name): choice_of(action, inside("networks", name), ClassAction) for name, action in classes.items()
    }


def _gps(fields: Mapping[str, object]) -> GpsTerms:
    gps = object_of(fields.get("gps", {}), "gps", dict.fromkeys(_GPS_FIELDS, False))
    usual = GpsTerms()
    required = flag_of(gps.get("required", usual.required), "gps.required")
    absent = ClassAction.BLOCK if required else ClassAction.ALLOW
    return GpsTerms(
        required=required,
        max_age_s=number_of(gps.get("max_age_s", usual.max_age_s), "gps.max_age_s", 1, _MAX_AGE_S),
        tolerance_m=number_of(gps.get("tolerance_m", usual.tolerance_m), "gps.tolerance_m", 0, _MAX_TOLERANCE_M),
        missing=choice_of(gps.get("missing", absent), "gps.missing", ClassAction),
        stale=choice_of(gps.get("stale", absent), "gps.stale", ClassAction),
        implausible=choice_of(gps.get("implausible", usual.implausible), "gps.implausible", ClassAction),
        mismatch=choice_of(fields.get("geo_mismatch_action", usual.mismatch), "geo_mismatch_action", ClassAction),
        max_speed_mps=number_of(gps.get("max_speed_mps", usual.max_speed_mps), "gps.max_speed_mps", 1, _MAX_SPEED_MPS),
    )


def _markets(value: object, reader: ConditionReader) -> Mapping[str, Polygon]:
    if not isinstance(value, Mapping):
        raise DecodeError(f"markets: an object of rings by code is expected, not {quoted(value)}")
    markets = {}
    for code, rings in value.items():
        if not isinstance(code, str):
            raise DecodeError(f"markets: {quoted(code)} is no television market's code")
        check_market(code, "markets")
        markets[code] = reader.rings(rings, f"markets.{code}")
    return markets
