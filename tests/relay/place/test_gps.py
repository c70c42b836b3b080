"""A device's position beside its address."""

from __future__ import annotations

import math

import pytest

from kernel.tokens import Reason
from relay.place.gps import GpsTerms, recheck_s
from relay.place.model import ClassAction, Fix, IpPlace, Point, known_place

NOW = 1_800_000_000.0
HOME = Point(-118.2437, 34.0522)
LONDON = Point(-0.1257, 51.5085)
BEFORE = Fix(HOME, 10, NOW - 100)


def east_of_home(metres: float) -> Point:
    return Point(HOME.lon + metres / (111_195 * math.cos(math.radians(HOME.lat))), HOME.lat)


FLAWS: list[tuple[Fix | None, Fix | None, Reason | None]] = [
    # Missing, fresh, just fresh enough, stale
    (None, None, Reason.GPS_MISSING),
    (None, BEFORE, Reason.GPS_MISSING),
    (Fix(HOME, 10, NOW), None, None),
    (Fix(HOME, 10, NOW - 300), None, None),
    (Fix(HOME, 10, NOW - 300.5), None, Reason.GPS_STALE),
    # A clock that is ahead by a little, by too much
    (Fix(HOME, 10, NOW + 60), None, None),
    (Fix(HOME, 10, NOW + 61), None, Reason.GPS_IMPLAUSIBLE),
    # No position, accuracy or time at all
    (Fix(Point(181, 0), 10, NOW), None, Reason.GPS_IMPLAUSIBLE),
    (Fix(Point(0, math.nan), 10, NOW), None, Reason.GPS_IMPLAUSIBLE),
    (Fix(HOME, -1, NOW), None, Reason.GPS_IMPLAUSIBLE),
    (Fix(HOME, math.nan, NOW), None, Reason.GPS_IMPLAUSIBLE),
    (Fix(HOME, math.inf, NOW), None, Reason.GPS_IMPLAUSIBLE),
    (Fix(HOME, 10, math.nan), None, Reason.GPS_IMPLAUSIBLE),
    (Fix(HOME, 10, -math.inf), None, Reason.GPS_IMPLAUSIBLE),
    # Accuracies: a perfect one, one that says nothing
    (Fix(HOME, 0, NOW), None, None),
    (Fix(HOME, 100_000, NOW), None, None),
    (Fix(HOME, 100_001, NOW), None, Reason.GPS_IMPLAUSIBLE),
    # Travel: by car, by plane at 340 m/s, faster, another continent
    (Fix(east_of_home(3_000), 10, NOW), BEFORE, None),
    (Fix(east_of_home(33_900), 10, NOW), BEFORE, None),
    (Fix(east_of_home(34_200), 10, NOW), BEFORE, Reason.GPS_IMPLAUSIBLE),
    (Fix(LONDON, 10, NOW), BEFORE, Reason.GPS_IMPLAUSIBLE),
    # Both accuracies are granted
    (Fix(east_of_home(34_200), 500, NOW), BEFORE, None),
    (Fix(east_of_home(34_200), 10, NOW), Fix(HOME, 500, NOW - 100), None),
    # Two places at one time; the same place; out of order
    (Fix(LONDON, 10, NOW - 100), BEFORE, Reason.GPS_IMPLAUSIBLE),
    (Fix(HOME, 10, NOW - 100), BEFORE, None),
    (Fix(east_of_home(3_000), 10, NOW - 200), BEFORE, None),
    (Fix(LONDON, 10, NOW - 200), BEFORE, Reason.GPS_IMPLAUSIBLE),
    # What is stale is not held against what came before
    (Fix(LONDON, 10, NOW - 400), BEFORE, Reason.GPS_STALE),
]


@pytest.mark.parametrize(("fix", "previous", "expected"), FLAWS)
def test_what_is_wrong_with_a_position(fix: Fix | None, previous: Fix | None, expected: Reason | None) -> None:
    assert GpsTerms().flaw_of(fix, previous, now=NOW) is expected


def test_each_flaw_has_its_action() -> None:
    terms = GpsTerms(missing=ClassAction.ALLOW, stale=ClassAction.WARN, implausible=ClassAction.BLOCK)
    assert terms.action_on(Reason.GPS_MISSING) is ClassAction.ALLOW
    assert terms.action_on(Reason.GPS_STALE) is ClassAction.WARN
    assert terms.action_on(Reason.GPS_IMPLAUSIBLE) is ClassAction.BLOCK


MISMATCHES = [
    # Within the tolerance, beyond it, within both accuracies on top
    (49_000, 0, 0.0, False),
    (51_000, 0, 0.0, True),
    (51_000, 2_000, 0.0, False),
    (69_000, 0, 20_000.0, False),
    (71_000, 0, 20_000.0, True),
    # A database that does not know how accurate it is
    (51_000, 0, None, True),
]


@pytest.mark.parametrize(("apart_m", "fix_m", "place_m", "expected"), MISMATCHES)
def test_address_and_device_disagree(apart_m: float, fix_m: float, place_m: float | None, expected: bool) -> None:
    place = known_place("192.0.2.7", point=HOME, accuracy_m=place_m)
    assert GpsTerms().disagree(place, Fix(east_of_home(apart_m), fix_m, NOW)) is expected


def test_where_the_address_is_nowhere_nothing_disagrees() -> None:
    assert not GpsTerms().disagree(IpPlace("192.0.2.7"), Fix(LONDON, 10, NOW))


@pytest.mark.parametrize(
    ("boundary_m", "expected_s"), [(0, 300), (8_700, 300), (17_435, 600), (34_880, 1_200), (math.inf, 1_200)]
)
def test_when_to_ask_again(boundary_m: float, expected_s: float) -> None:
    assert recheck_s(boundary_m) == pytest.approx(expected_s, abs=0.5)


RENEWALS = [
    # Where a stale one does not count, the boundary alone says when
    (GpsTerms(), 0, math.inf, 1_200),
    # Else before it is stale, whatever its age is by then
    (GpsTerms(stale=ClassAction.BLOCK), 0, math.inf, 270),
    (GpsTerms(stale=ClassAction.WARN), 200, math.inf, 90),
    (GpsTerms(stale=ClassAction.BLOCK), 299, math.inf, 10),
    (GpsTerms(stale=ClassAction.BLOCK, max_age_s=3_600), 0, math.inf, 1_200),
    (GpsTerms(stale=ClassAction.BLOCK, max_age_s=3_600), 0, 0, 300),
]


@pytest.mark.parametrize(("terms", "age_s", "boundary_m", "expected_s"), RENEWALS)
def test_a_position_is_asked_for_before_it_is_stale(
    terms: GpsTerms, age_s: float, boundary_m: float, expected_s: float
) -> None:
    assert terms.again_s(Fix(HOME, 10, NOW - age_s), boundary_m, now=NOW) == pytest.approx(expected_s)
