"""A device's position beside its address': whether it can be used, whether both agree, when to ask again.

A device says what its user wants it to say. So a position only ever tightens what the address allows, and one that
cannot be true is a reason of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from kernel.tokens import Reason
from relay.place.geometry import distance_m
from relay.place.model import ClassAction, Fix, IpPlace

MAX_CLOCK_AHEAD_S = 60.0
"""Phones keep time to a second or two by their network; nobody's is a minute ahead but who sets it."""

MAX_ACCURACY_M = 100_000.0
"""A cell tower's reach is 35 km; a position that may be off by more than 100 km is the address' at best."""

RECHECK_SPEED_MPS = 65 * 1_609.344 / 3_600
"""65 mph: as fast as a viewer on a motorway comes to a boundary."""

RECHECK_LEAST_S, RECHECK_MOST_S = 300.0, 1_200.0

_RENEWED = 0.9
"""After this share of the time that is left: the answer takes a while."""

_RENEWAL_LEAST_S = 10.0


@dataclass(frozen=True, slots=True)
class GpsTerms:
    """What a policy asks of a device's position.

    Args:
        required: whether there must be one; it only says what `missing` and `stale` are if they are not written.
        max_age_s: how old a position may be when it is judged, in seconds.
        tolerance_m: how far it may be from the address' beyond both accuracies, in metres.
        missing: what is done if there is none.
        stale: what is done if it is older than `max_age_s`.
        implausible: what is done if it cannot be true.
        mismatch: what is done if it is too far from the address'.
        max_speed_mps: how fast a viewer can be between two positions, accuracies granted, in m/s.
    """

    required: bool = False
    max_age_s: float = 300.0
    tolerance_m: float = 50_000.0
    missing: ClassAction = ClassAction.ALLOW
    stale: ClassAction = ClassAction.ALLOW
    implausible: ClassAction = ClassAction.BLOCK
    mismatch: ClassAction = ClassAction.BLOCK
    max_speed_mps: float = 340.0

    def flaw_of(self, fix: Fix | None, previous: Fix | None, *, now: float) -> Reason | None:
        """Return why a position cannot be used, None if it can.

        Args:
            fix: the position.
            previous: the one before it from the same session, if there was one that could be used.
            now: Unix time in seconds.
        """
        if fix is None:
            return Reason.GPS_MISSING
        (lon, lat), accuracy_m, at = fix.point, fix.accuracy_m, fix.at
        # Written so that what is no number is implausible.
        if not (-180 <= lon <= 180 and -90 <= lat <= 90 and 0 <= accuracy_m <= MAX_ACCURACY_M and isfinite(at)):
            return Reason.GPS_IMPLAUSIBLE
        if at > now + MAX_CLOCK_AHEAD_S:
            return Reason.GPS_IMPLAUSIBLE
        if now - at > self.max_age_s:
            return Reason.GPS_STALE
        if previous is not None and self._is_too_fast(previous, fix):
            return Reason.GPS_IMPLAUSIBLE
        return None

    def action_on(self, flaw: Reason) -> ClassAction:
        """Return what is done about a flaw."""
        if flaw is Reason.GPS_MISSING:
            return self.missing
        return self.stale if flaw is Reason.GPS_STALE else self.implausible

    def again_s(self, fix: Fix, boundary_m: float, *, now: float) -> float:
        """Return after how many seconds to ask for a position again: `recheck_s`, or sooner if it were stale before.

        Args:
            fix: a position that can be used.
            boundary_m: how far the nearest boundary is, in metres.
            now: Unix time in seconds.
        """
        again_s = recheck_s(boundary_m)
        if self.stale is ClassAction.ALLOW:
            return again_s
        return min(again_s, max(_RENEWAL_LEAST_S, _RENEWED * (fix.at + self.max_age_s - now)))

    def disagree(self, place: IpPlace, fix: Fix) -> bool:
        """Return whether a usable position is too far from the address'; where that has none, nothing disagrees."""
        if place.point is None:
            return False
        allowed_m = self.tolerance_m + fix.accuracy_m + (place.accuracy_m or 0.0)
        return distance_m(place.point, fix.point) > allowed_m

    def _is_too_fast(self, previous: Fix, fix: Fix) -> bool:
        moved_m = distance_m(previous.point, fix.point) - previous.accuracy_m - fix.accuracy_m
        # The order in which they arrive is not that in which they were taken; either way it is one journey.
        return moved_m > self.max_speed_mps * abs(fix.at - previous.at)


def recheck_s(boundary_m: float) -> float:
    """Return after how many seconds to ask again, so far from the nearest boundary: 300 to 1,200."""
    return min(RECHECK_MOST_S, max(RECHECK_LEAST_S, boundary_m / RECHECK_SPEED_MPS))
