"""What can be said of conditions without asking places: that one cannot hold without another, or never does.

Every answer is on the safe side: True is certain, False means that it is not known. What is drawn (polygons) is
compared with nothing but itself.
"""

from __future__ import annotations

from relay.place.conditions import (
    AllOf,
    AnyOf,
    Cities,
    Condition,
    Countries,
    InCircle,
    InNetworks,
    NoneOf,
    OfClasses,
    Postcodes,
    Regions,
    Zone,
)  # fmt: skip
from relay.place.geometry import distance_m

NOWHERE = AnyOf(())
_MARGIN_M = 1.0


class Implications:
    """Say whether one condition implies another; pairs that were asked for are kept."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, int], bool] = {}
        self._alive: list[Condition] = []

    def implies(self, one: Condition, other: Condition) -> bool:
        """Return whether `other` is true wherever `one` is, and is not false wherever `one` is unknown."""
        key = id(one), id(other)
        known = self._kept.get(key)
        if known is None:
            # Identities are told apart only while both live.
            self._alive += (one, other)
            known = self._kept[key] = self._found(one, other)
        return known

    def _found(self, one: Condition, other: Condition) -> bool:
        if _is_within(one, other):
            return True
        if isinstance(one, AnyOf):
            return all(self.implies(part, other) for part in one.parts)
        if isinstance(other, AllOf):
            return all(self.implies(one, part) for part in other.parts)
        if (
            isinstance(one, NoneOf)
            and isinstance(other, NoneOf)
            and all(any(self.implies(theirs, ours) for ours in one.parts) for theirs in other.parts)
        ):
            return True
        if isinstance(other, NoneOf) and not other.parts:
            return True
        return (isinstance(other, AnyOf) and any(self.implies(one, part) for part in other.parts)) or (
            isinstance(one, AllOf) and any(self.implies(part, other) for part in one.parts)
        )

    def never_holds(self, condition: Condition) -> bool:
        """Return whether there is no place where it is true; it may be unknown nevertheless."""
        countries = countries_of(condition)
        if countries is not None and not countries:
            return True
        if isinstance(condition, AnyOf):
            return all(self.never_holds(part) for part in condition.parts)
        if isinstance(condition, NoneOf):
            return any(always_holds(part) for part in condition.parts)
        if isinstance(condition, AllOf):
            denied = [theirs for part in condition.parts if isinstance(part, NoneOf) for theirs in part.parts]
            return any(
                self.never_holds(part) or any(self.implies(part, theirs) for theirs in denied)
                for part in condition.parts
            )
        return False


def always_holds(condition: Condition) -> bool:
    """Return whether it is true at every place."""
    if isinstance(condition, AnyOf):
        return any(always_holds(part) for part in condition.parts)
    if isinstance(condition, AllOf):
        return all(always_holds(part) for part in condition.parts)
    return isinstance(condition, NoneOf) and all(isinstance(part, AnyOf) and not part.parts for part in condition.parts)


def countries_of(condition: Condition) -> frozenset[str] | None:
    """Return the countries outside which it is false, None if it may be true in any.

    Guaranteed: where a place's country is known and not among them, the condition is false, not unknown; where it is
    true, the country is known.
    """
    if isinstance(condition, Countries):
        return condition.codes
    if isinstance(condition, Regions):
        return condition.countries
    if isinstance(condition, Cities):
        return frozenset(city.country for city in condition.cities)
    if isinstance(condition, Postcodes):
        return frozenset(condition.codes)
    if isinstance(condition, AllOf):
        known = [found for found in map(countries_of, condition.parts) if found is not None]
        return frozenset.intersection(*known) if known else None
    if isinstance(condition, AnyOf):
        all_found = [countries_of(part) for part in condition.parts]
        known = [found for found in all_found if found is not None]
        return frozenset().union(*known) if len(known) == len(all_found) else None
    return None


def _is_within(one: Condition, other: Condition) -> bool:
    """Compare two conditions that are not made of others, or are the same."""
    if one == other:
        return True
    if isinstance(other, Countries) and isinstance(one, Countries | Regions | Cities | Postcodes):
        countries = countries_of(one)
        return countries is not None and countries <= other.codes
    if isinstance(other, Regions):
        if isinstance(one, Regions):
            return one.codes <= other.codes
        return isinstance(one, Cities) and all(city.region in other.codes for city in one.cities)
    if isinstance(one, Cities) and isinstance(other, Cities):
        wider = {(city.country, city.region, city.name) for city in other.cities}
        return all(
            (city.country, None, city.name) in wider or (city.country, city.region, city.name) in wider
            for city in one.cities
        )
    if isinstance(one, Postcodes) and isinstance(other, Postcodes):
        return all(codes <= other.codes.get(country, frozenset()) for country, codes in one.codes.items())
    if isinstance(one, InCircle) and isinstance(other, InCircle):
        apart_m = distance_m(one.circle.centre, other.circle.centre)
        return apart_m + one.circle.radius_m + _MARGIN_M <= other.circle.radius_m
    if isinstance(one, Zone) and isinstance(other, Zone):
        if one.radius_miles is not None and (other.radius_miles is None or one.radius_miles > other.radius_miles):
            return False
        return one.codes <= other.codes
    if isinstance(one, InNetworks) and isinstance(other, InNetworks):
        return one.texts <= other.texts
    return isinstance(one, OfClasses) and isinstance(other, OfClasses) and one.classes <= other.classes
