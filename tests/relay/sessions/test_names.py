from __future__ import annotations

from random import Random

from relay.sessions.names import PART, Names


def test_they_stay_in_order_however_they_come_and_go() -> None:
    random, names, there = Random(9), Names(), set[str]()
    assert names.beyond("", 9) == []
    for _ in range(12 * PART):
        name = f"{random.randrange(4 * PART):05}"
        if name in there:
            names.remove(name)
            there.remove(name)
        else:
            names.add(name)
            there.add(name)
    assert len(names) == len(there)
    assert names.beyond("", len(there) + 1) == sorted(there)
    for after in ("", "00100", "00100x", "01000", "99999"):
        assert names.beyond(after, 700) == sorted(one for one in there if one > after)[:700]
    for name in sorted(there):
        names.remove(name)
    assert len(names) == 0
    assert names.beyond("", 1) == []
    names.add("a")
    assert names.beyond("", 1) == ["a"]


def test_each_has_its_turn() -> None:
    names = Names()
    for name in "dbaec":
        names.add(name)
    assert [names.turn(2) for _ in range(5)] == [["a", "b"], ["c", "d"], ["e"], ["a", "b"], ["c", "d"]]
    assert Names().turn(3) == []
