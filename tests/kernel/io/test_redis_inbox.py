"""Who gets what of what is read, and who gets nothing twice."""

from __future__ import annotations

import pytest

from kernel.bus import Signal, Topic
from kernel.io import redis_inbox
from kernel.io.redis_inbox import BEGIN, Inbox, Item
from tests.support.bus_contract import Receiver

TOPIC: Topic[str] = Topic("s/topic")
OTHER: Topic[str] = Topic("s/other")
SIGNAL: Signal[str] = Signal("s/signal")
KEY, OTHER_KEY, EAR = b"p:t:s/topic", b"p:t:s/other", b"p:s:s/signal"


def make() -> Inbox:
    return Inbox("p", lambda: None)


def item(offset: int, text: str = "r", *, number: int = 1, mark: str = ".") -> Item:
    return b"%d-%d" % (number, offset + 1), [mark.encode(), b'"%s"' % text.encode()]


def told(number: int, sender: str, count: int, text: str) -> Item:
    return b"%d-0" % number, [f"{sender} {count}".encode(), b'"%s"' % text.encode()]


def take(inbox: Inbox, **answer: list[Item]) -> None:
    keys = {"topic": KEY, "other": OTHER_KEY, "signal": EAR}
    inbox.take(inbox.cursors(), {keys[name]: items for name, items in answer.items()})


def test_each_subscriber_has_its_own_place() -> None:
    inbox, all_, some = make(), Receiver(), Receiver()
    inbox.subscribe(TOPIC, all_.record, -1)
    inbox.subscribe(TOPIC, some.record, 1)
    take(inbox, topic=[item(0), item(1), item(2)])
    assert [offset for offset, _ in all_.records] == [0, 1, 2]
    assert [offset for offset, _ in some.records] == [2]
    assert inbox.cursors() == {KEY: b"1-3"}


def test_who_comes_later_makes_it_be_read_again_and_nobody_gets_it_twice() -> None:
    inbox, early, late = make(), Receiver(), Receiver()
    inbox.subscribe(TOPIC, early.record, -1)
    take(inbox, topic=[item(0), item(1)])
    asked = inbox.cursors()
    inbox.subscribe(TOPIC, late.record, -1)
    # An answer to the question before: it would make the newcomer miss what came earlier.
    inbox.take(asked, {KEY: [item(2)]})
    assert late.records == []
    assert inbox.cursors() == {KEY: BEGIN}
    take(inbox, topic=[item(0), item(1), item(2)])
    assert [offset for offset, _ in early.records] == [offset for offset, _ in late.records] == [0, 1, 2]


def test_who_comes_over_a_record_begins_with_another_reading() -> None:
    inbox, late = make(), Receiver()

    def bring(offset: int, _: str) -> None:
        if offset == 0:
            inbox.subscribe(TOPIC, late.record, -1)

    inbox.subscribe(TOPIC, bring, -1)
    take(inbox, topic=[item(0), item(1)])
    assert late.records == []
    take(inbox, topic=[item(0), item(1)])
    assert [offset for offset, _ in late.records] == [0, 1]


def test_what_is_filled_in_again_reaches_nobody_twice() -> None:
    inbox, receiver = make(), Receiver()
    inbox.subscribe(TOPIC, receiver.record, -1)
    take(inbox, topic=[item(0, mark=".log"), item(1, mark=".log")])
    take(inbox, topic=[item(offset, number=9, mark=".log") for offset in range(3)])
    assert [offset for offset, _ in receiver.records] == [0, 1, 2]


def test_another_log_begins_anew() -> None:
    inbox, receiver = make(), Receiver()
    inbox.subscribe(TOPIC, receiver.record, 0)
    take(inbox, topic=[item(0, "old", mark=".a"), item(1, "old", mark=".a")])
    take(inbox, topic=[item(0, "new", number=2, mark=".b")])
    assert receiver.records == [(1, "old"), (0, "new")]


def test_a_run_settles_once_however_it_is_cut() -> None:
    inbox, receiver, settled = make(), Receiver(), []
    inbox.subscribe(TOPIC, receiver.record, 0, lambda: settled.append(len(receiver.records)))
    take(inbox, topic=[item(0, mark="."), item(1, mark="+"), item(2, mark="+")])
    assert settled == []
    take(inbox, topic=[item(3, mark="."), item(4, mark=".")])
    assert settled == [3, 4]


def test_signals_begin_with_the_last_and_are_told_once() -> None:
    inbox, receiver, late = make(), Receiver(), Receiver()
    inbox.listen(SIGNAL, receiver.signal)
    assert inbox.new_signals() == [EAR]
    assert inbox.is_new({"s/signal"})
    assert inbox.cursors() == {}
    inbox.begin_signal(EAR, [told(5, "a", 3, "last")])
    assert inbox.new_signals() == []
    assert inbox.cursors() == {EAR: b"5-0"}
    take(inbox, signal=[told(6, "a", 3, "last"), told(7, "a", 4, "x"), told(8, "b", 1, "y"), told(9, "a", 4, "x")])
    assert receiver.signals == ["last", "x", "y"]
    inbox.listen(SIGNAL, late.signal)
    assert late.signals == ["y"]
    inbox.forget_signal_ids()
    assert inbox.cursors() == {EAR: BEGIN}
    take(inbox, signal=[told(1, "a", 4, "x"), told(2, "b", 2, "z")])
    assert receiver.signals == ["last", "x", "y", "z"]


def test_a_signal_that_was_never_told_begins_at_the_beginning() -> None:
    inbox, receiver = make(), Receiver()
    inbox.listen(SIGNAL, receiver.signal)
    inbox.begin_signal(EAR, [])
    inbox.begin_signal(EAR, [told(5, "a", 3, "too late to begin")])
    assert inbox.cursors() == {EAR: BEGIN}
    assert receiver.signals == []


def test_senders_are_forgotten_in_the_order_in_which_they_fell_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_inbox, "MAX_SENDERS", 2)
    inbox, receiver = make(), Receiver()
    inbox.listen(SIGNAL, receiver.signal)
    inbox.begin_signal(EAR, [])
    take(inbox, signal=[told(1, "a", 1, "a1"), told(2, "b", 1, "b1"), told(3, "a", 2, "a2"), told(4, "c", 1, "c1")])
    take(inbox, signal=[told(5, "a", 2, "a2 again"), told(6, "b", 1, "b1, forgotten")])
    assert receiver.signals == ["a1", "b1", "a2", "c1", "b1, forgotten"]


def test_streams_are_asked_for_in_the_order_of_subscription() -> None:
    inbox = make()
    inbox.listen(SIGNAL, print)
    inbox.begin_signal(EAR, [])
    cancel = inbox.subscribe(OTHER, lambda *_: None, -1)
    inbox.subscribe(TOPIC, lambda *_: None, -1)
    assert list(inbox.cursors()) == [EAR, OTHER_KEY, KEY]
    cancel()
    cancel()
    assert list(inbox.cursors()) == [EAR, KEY]


def test_what_cannot_be_read_is_passed_over() -> None:
    inbox, receiver = make(), Receiver()
    inbox.subscribe(TOPIC, receiver.record, -1)
    inbox.listen(SIGNAL, receiver.signal)
    inbox.begin_signal(EAR, [(b"1-0", [b"a 1", b"{"])])
    take(inbox, topic=[(b"1-1", [b".", b"{"]), item(1)], signal=[told(2, "a", 2, "s")])
    assert receiver.records == [(1, "r")]
    assert receiver.signals == ["s"]


def test_a_receivers_fault_is_its_own() -> None:
    inbox, faulty, sound = make(), Receiver(RuntimeError("on purpose")), Receiver()
    for receiver in (faulty, sound):
        inbox.subscribe(TOPIC, receiver.record, -1)
    take(inbox, topic=[item(0), item(1)])
    assert faulty.records == sound.records == [(0, "r"), (1, "r")]
