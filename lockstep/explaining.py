"""What `lockstep policy test` tells: where an address is, and why a policy says of it what it says."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from kernel.errors import SettingsError
from relay.io.locator import Locator
from relay.place.model import Fix, IpPlace, Point

if TYPE_CHECKING:
    from kernel.tokens import Reason
    from lockstep.settings import Settings
    from relay.place.explain import Explained, RuleOutcome

DEFAULT_ACCURACY_M = 20.0
"""What a phone under the open sky says of itself."""


def fix_of(text: str, at: float) -> Fix:
    """Read a position: LAT,LON[,ACCURACY_M], as maps print it.

    Args:
        text: degrees, WGS 84, and metres.
        at: when it was taken, in Unix seconds.

    Raises:
        SettingsError: it is none.
    """
    try:
        lat, lon, *more = [float(part) for part in text.split(",")]
        (accuracy_m,) = more or [DEFAULT_ACCURACY_M]
        if not (abs(lat) <= 90 and abs(lon) <= 180 and accuracy_m >= 0 and math.isfinite(accuracy_m)):
            raise ValueError("out of range")
    except ValueError:
        raise SettingsError(
            f"--gps {text!r:.80}: use LAT,LON or LAT,LON,ACCURACY_M, such as 34.05,-118.25,20"
        ) from None
    return Fix(Point(lon, lat), accuracy_m, at)


def located(settings: Settings, address: str) -> tuple[IpPlace, str]:
    """Return what the databases and lists of the settings say of an address, and which they are.

    Raises:
        SettingsError: one of them cannot be read.
    """
    locator = Locator(settings.place.to_files())
    locator.open()
    try:
        return locator.locate(address), locator.version
    finally:
        locator.close()


def explained_map(policy_id: str, place: IpPlace, version: str, told: Explained) -> dict[str, Any]:
    """Return it as JSON has it; true, false, or null for unknown."""
    verdict = told.verdict
    return {
        "policy_id": policy_id,
        "place": _place_map(place),
        "locator": version,
        "classes": {network.value: action.value for network, action in told.classes.items()},
        "flaw": told.flaw,
        "watch": _section_map(verdict.watch, verdict.watch_rule, told.watch, told.watch_default),
        "wager": _section_map(verdict.wager, verdict.wager_rule, told.wager, told.wager_default),
        "warning": verdict.warning,
        "recheck_s": verdict.recheck_s,
    }


def _place_map(place: IpPlace) -> dict[str, Any]:
    return {
        "address": place.address,
        "is_public": place.is_public,
        "country": place.country,
        "region": place.region,
        "city": place.city,
        "postcode": place.postcode,
        "point": place.point,
        "accuracy_m": place.accuracy_m,
        "metro": place.metro,
        "asn": place.asn,
    }


def _section_map(reason: Reason | None, rule: str, outcomes: list[RuleOutcome], default: str) -> dict[str, Any]:
    return {"reason": reason, "rule": rule, "rules": [one._asdict() for one in outcomes], "default": default}


def explained_lines(policy_id: str, place: IpPlace, version: str, told: Explained) -> list[str]:
    """Return it in lines, for people."""
    names = [place.city, place.region, place.postcode, place.country]
    where = ", ".join(name for name in names if name) or "nowhere that is known"
    point = "" if place.point is None else f" at {place.point.lat:.4f},{place.point.lon:.4f}"
    radius = "" if place.accuracy_m is None else f" within {place.accuracy_m:g} m"
    lines = [
        f"address   {place.address or 'none'}" + ("" if place.is_public else ", which is not of the Internet"),
        f"place     {where}{point}{radius}",
        f"sources   {version or 'none: set a database in [place]'}",
    ]
    for network, action in told.classes.items():
        lines.append(f"network   {network}: {action}")
    if told.flaw is not None:
        lines.append(f"device    {told.flaw}")
    verdict = told.verdict
    sections = (
        ("watch", verdict.watch, verdict.watch_rule, told.watch, told.watch_default),
        ("wager", verdict.wager, verdict.wager_rule, told.wager, told.wager_default),
    )
    for name, reason, rule, outcomes, default in sections:
        by = f" by rule {rule!r}" if rule else ""
        lines.append(f"{name}     {'admitted' if reason is None else f'refused ({reason})'}{by}")
        lines += [_outcome_line(one, has_device=told.has_device, decided=one.name == rule) for one in outcomes]
        lines.append(f"  default {default}")
    if verdict.warning is not None:
        lines.append(f"warning   {verdict.warning}")
    if verdict.recheck_s is not None:
        lines.append(f"again     a position is asked for again after {verdict.recheck_s:.0f} s")
    return [f"policy    {policy_id}", *lines]


def _outcome_line(one: RuleOutcome, *, has_device: bool, decided: bool) -> str:
    device = f", at the device {_word(one.by_device)}" if has_device and one.by_device is not one.by_address else ""
    applies = ", applies" if one.applies else ""
    return f"  {'*' if decided else ' '} {one.effect} {one.name!r}: {_word(one.by_address)}{device}{applies}"


def _word(held: bool | None) -> str:  # noqa: FBT001 - an outcome, not a switch
    return "unknown" if held is None else "true" if held else "false"
