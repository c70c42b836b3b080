from __future__ import annotations

from relay.esni.elements import Name
from relay.esni.findings import At
from relay.esni.model import Audience, Match, Property


def test_where_a_thing_stands_is_no_part_of_what_it_says() -> None:
    one, other = (Property(Name("a"), "b", at=At("/a", line, "x")) for line in (1, 2))
    assert one == other
    assert Audience(parts=(one,), at=At("/a", 1, "x")) == Audience(parts=(other,))
    assert Audience().match is Match.ALL
