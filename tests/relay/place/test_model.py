"""Values of place."""

from __future__ import annotations

import pytest

from kernel.tokens import Reason
from kernel.value import set_aside
from relay.place.model import Fix, IpPlace, Locality, NetworkClass, PlaceVerdict, Point, known_place


@pytest.mark.parametrize("network", NetworkClass)
def test_each_network_class_has_its_reason(network: NetworkClass) -> None:
    assert Reason(network.value).is_network
    assert not Reason(network.value).is_geo


def test_what_is_not_known_is_none_and_values_are_values() -> None:
    place = IpPlace("192.0.2.7")
    assert (place.country, place.point, place.classes) == (None, None, frozenset())
    assert place == IpPlace("192.0.2.7")
    assert known_place("192.0.2.7") == place != known_place("192.0.2.7", country="US")
    assert hash(known_place("192.0.2.7")) == hash(place)
    # What policies note on a locality is no part of it.
    noted = Locality("US")
    set_aside(noted, "verdicts", ((object(), PlaceVerdict(None, None)),))
    assert noted == Locality("US") != Locality("GB")
    assert hash(noted) == hash(Locality("US"))
    assert hash(Fix(Point(-118.2437, 34.0522), 12.0, 1.0)) == hash(Fix(Point(-118.2437, 34.0522), 12.0, 1.0))
    with pytest.raises(AttributeError):
        PlaceVerdict(None, None).watch = Reason.VPN  # type: ignore[misc]
