from __future__ import annotations

import pytest

from hub import group as module
from hub.group import Group, shares_of
from hub.settings import HubSettings
from hub.subscriber import EVERYTHING, Filter, Subscriber


def someone(number: int) -> tuple[Subscriber, list[bytes]]:
    one, written = Subscriber(number, "game", HubSettings(), 0), list[bytes]()
    one.write = written.append
    return one, written


def test_counts_are_the_members_own() -> None:
    group = Group()
    (one, _), (other, _) = someone(1), someone(2)
    group.add(one)
    assert group.count(group.to, 3).others == [one]
    group.add(other)
    group.count(group.to, 2)
    assert (one.sent_in_all, other.sent_in_all, len(group)) == (5, 2, 2)
    group.remove(one)
    group.remove(one)
    group.count(group.to, 1)
    assert (one.sent_in_all, other.sent_in_all, one.group) == (5, 3, None)


def test_who_left_between_the_delivery_and_the_writing_is_counted_once() -> None:
    group = Group()
    (one, written), (other, _), (late, _) = someone(1), someone(2), someone(3)
    group.add(one)
    group.add(other)
    to = group.to
    assert group.to is to
    group.remove(one)
    group.add(late)
    for write in group.count(to, 4).writes:
        write(b"x")
    assert (one.sent_in_all, other.sent_in_all, late.sent_in_all) == (4, 4, 0)
    assert written == [b"x"]


def test_who_leaves_while_being_written_to_has_been_counted() -> None:
    group = Group()
    one, _ = someone(1)
    group.add(one)
    ways = group.count(group.to, 4)
    group.remove(one)
    assert (len(ways.others), one.sent_in_all) == (1, 4)


def test_the_ways_are_kept_until_one_changes() -> None:
    group = Group()
    (one, _), (other, _) = someone(1), someone(2)
    group.add(one)
    group.add(other)
    one.write_by(one.write, 7)
    ways = group.count(group.to, 1)
    assert (ways.straight, ways.others) == ([one], [other])
    one.write_by(one.write, 7)
    assert group.count(group.to, 1) is ways
    # Also in the middle of a flush whose receivers are known already.
    to = group.to
    one.hang_up()
    ways = group.count(to, 1)
    assert (ways.straight, ways.others) == ([], [one, other])
    other.write_by(other.write, 8)
    assert group.count(to, 1).straight == [other]
    one.write_by(print)
    assert group.count(to, 1).writes == (print,)
    group.remove(other)
    other.write_by(other.write)
    assert group.count(to, 1).straight == []


def of_some(count: int) -> Group:
    group = Group()
    for number in range(count):
        group.add(someone(number)[0])
    return group


def wanting(*markets: str) -> Filter:
    return EVERYTHING._replace(markets=frozenset(markets))


def test_the_markets_of_many_are_divided_among_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SOCKETS_AT_ONCE", 5)
    groups = {(wanting(mid, "all"), "json"): of_some(3) for mid in "abcd"} | {(wanting("e"), "json"): of_some(1)}
    assert shares_of(groups) == [{"a", "b", "all"}, {"c", "d", "all"}, {"e"}]  # type: ignore[arg-type]
    # Those who want everything would be written to at each turn.
    few, many = {(EVERYTHING, "json"): of_some(5)}, {(EVERYTHING, "json"): of_some(6)}
    assert len(shares_of(groups | few)) == 3  # type: ignore[arg-type]
    assert shares_of(groups | many) == []  # type: ignore[arg-type]
    assert shares_of({}) == []
