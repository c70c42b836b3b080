from __future__ import annotations

from hub.group import Group
from hub.settings import HubSettings
from hub.subscriber import Subscriber


def someone(number: int) -> tuple[Subscriber, list[bytes]]:
    one, written = Subscriber(number, "game", HubSettings(), 0), list[bytes]()
    one.write = written.append
    return one, written


def test_counts_are_the_members_own() -> None:
    group = Group()
    (one, _), (other, _) = someone(1), someone(2)
    group.add(one)
    assert len(group.count(group.to, 3)) == 1
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
    for write in group.count(to, 4):
        write(b"x")
    assert (one.sent_in_all, other.sent_in_all, late.sent_in_all) == (4, 4, 0)
    assert written == [b"x"]


def test_who_leaves_while_being_written_to_has_been_counted() -> None:
    group = Group()
    one, _ = someone(1)
    group.add(one)
    writes = group.count(group.to, 4)
    group.remove(one)
    assert (len(writes), one.sent_in_all) == (1, 4)
