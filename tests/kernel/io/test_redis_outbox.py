"""What is written to Redis, in which order, and what again after which loss."""

from __future__ import annotations

import pytest

from kernel.io import redis_outbox
from kernel.io.redis_outbox import Command, Outbox, Top, parse_top

MARK = ("XADD", "p:s:sig", "MAXLEN", redis_outbox.SIGNALS_KEPT, "*")


def make() -> Outbox:
    return Outbox("p", "me", lambda: 100)


def add(topic: str, number: int, offset: int, lineage: str = "", mark: str = ".") -> Command:
    return ("XADD", f"p:t:{topic}", f"{number}-{offset + 1}", mark + lineage, b"%d" % offset)


def filled(*offsets: int, lineage: str = "") -> Outbox:
    outbox = make()
    outbox.begin("t", lineage)
    for offset in offsets:
        assert outbox.publish("t", offset, b"%d" % offset)
    return outbox


def flush(outbox: Outbox) -> list[Command]:
    for name in outbox.unknown():
        outbox.expect(name, None)
    commands = outbox.take(1_000)
    outbox.done()
    return commands


def test_nothing_is_written_before_redis_was_asked_what_it_has() -> None:
    outbox = filled(0)
    assert outbox.take(10) == []
    outbox.done()
    assert len(outbox) == 1
    assert outbox.unknown() == {"t": "p:t:t"}
    assert flush(outbox) == [add("t", 100, 0)]
    assert len(outbox) == 0
    assert outbox.unknown() == {}


def test_everything_goes_in_the_order_in_which_it_was_published() -> None:
    outbox = make()
    outbox.publish("a", 0, b"0")
    outbox.publish("b", 0, b"0")
    outbox.signal("sig", b"s")
    outbox.publish("a", 1, b"1", more=True)
    assert flush(outbox) == [add("a", 100, 0), add("b", 100, 0), (*MARK, "me 3", b"s"), add("a", 100, 1, mark="+")]


def test_what_was_taken_and_not_done_is_taken_again() -> None:
    outbox = filled(0, 1, 2)
    outbox.expect("t", None)
    assert outbox.take(2) == [add("t", 100, 0), add("t", 100, 1)]
    assert outbox.take(2) == [add("t", 100, 0), add("t", 100, 1)]
    outbox.done()
    assert outbox.take(2) == [add("t", 100, 2)]


def test_what_redis_has_of_the_same_log_is_not_written_again() -> None:
    outbox = make()
    outbox.expect("t", Top(40, 1, "log"))
    outbox.begin("t", "log")
    assert outbox.head("t") == 1
    for offset in range(4):
        outbox.publish("t", offset, b"%d" % offset)
    assert flush(outbox) == [add("t", 40, 2, "log"), add("t", 40, 3, "log")]
    assert outbox.head("t") == 3


def test_nothing_is_trimmed_before_it_is_said_which_log_goes_on() -> None:
    outbox = make()
    outbox.expect("t", Top(40, 1, "log"))
    assert flush(outbox) == []
    outbox.rewind({"t": Top(40, 2, "log")})
    assert flush(outbox) == []
    outbox.begin("t", "log")
    assert outbox.head("t") == 2
    outbox.publish("t", 3, b"3")
    assert flush(outbox) == [add("t", 40, 3, "log")]


def test_another_log_takes_the_place_of_the_one_before() -> None:
    outbox = make()
    outbox.expect("t", Top(140, 7, "old"))
    outbox.begin("t", "new")
    assert outbox.head("t") == -1
    outbox.publish("t", 0, b"0")
    assert flush(outbox) == [("XTRIM", "p:t:t", "MINID", "141-0"), add("t", 141, 0, "new")]


def test_a_new_log_in_the_same_process_begins_anew() -> None:
    outbox = filled(0, 1, lineage="old")
    flush(outbox)
    outbox.begin("t", "new")
    outbox.publish("t", 0, b"0")
    assert outbox.unknown() == {"t": "p:t:t"}
    outbox.expect("t", Top(100, 1, "old"))
    assert outbox.take(9) == [("XTRIM", "p:t:t", "MINID", "101-0"), add("t", 101, 0, "new")]


def test_an_offset_below_the_last_is_dropped() -> None:
    outbox = filled(3)
    assert not outbox.publish("t", 3, b"again")
    assert not outbox.publish("t", 1, b"late")


def test_a_lost_end_is_written_again_and_nothing_else() -> None:
    outbox = filled(0, 1, 2, 3)
    flush(outbox)
    assert not outbox.has_lost("t", Top(100, 3, ""))
    assert outbox.has_lost("t", Top(100, 1, ""))
    assert outbox.has_lost("t", None)
    assert not outbox.has_lost("unknown", None)
    outbox.rewind({"t": Top(100, 1, "")})
    assert flush(outbox) == [add("t", 100, 2), add("t", 100, 3)]


def test_after_a_wipe_all_that_is_retained_is_written_in_its_order() -> None:
    outbox = make()
    for offset in range(3):
        outbox.publish("a", offset, b"%d" % offset)
        outbox.publish("b", offset, b"%d" % offset)
    outbox.signal("sig", b"first")
    outbox.signal("sig", b"last")
    flush(outbox)
    outbox.trim("a", 2)
    flush(outbox)
    # What was written since the wipe lacks what was before.
    outbox.rewind({"a": Top(100, 2, ""), "b": None}, wiped=True)
    assert flush(outbox) == [
        ("DEL", "p:t:a"), add("b", 100, 0), add("b", 100, 1), add("a", 100, 2), add("b", 100, 2),
        (*MARK, "me 8", b"last"),
    ]  # fmt: skip


def test_a_rewind_keeps_what_waits() -> None:
    outbox = filled(0, 1)
    outbox.signal("sig", b"s")
    outbox.trim("t", 1)
    outbox.rewind({"t": None})
    assert flush(outbox) == [add("t", 100, 1), (*MARK, "me 3", b"s"), ("XTRIM", "p:t:t", "MINID", "100-2")]


def test_trimming_and_forgetting_reach_redis() -> None:
    outbox = filled(0, 1, 2, 3)
    outbox.trim("t", 2)
    outbox.forget("t", [2])
    outbox.forget("t", [])
    # What is wanted no more is not written; Redis may have it from an earlier life of ours.
    assert flush(outbox) == [add("t", 100, 3), ("XTRIM", "p:t:t", "MINID", "100-3"), ("XDEL", "p:t:t", "100-3")]
    outbox.rewind({"t": None}, wiped=True)
    assert flush(outbox) == [add("t", 100, 3)]


def test_what_is_put_first_meanwhile_does_not_mix_up_what_is_done() -> None:
    outbox = filled(0)
    outbox.expect("t", None)
    outbox.publish("u", 0, b"0")
    assert outbox.take(1) == [add("t", 100, 0)]
    outbox.expect("u", Top(500, 3, "foreign"))
    outbox.done()
    assert outbox.take(9) == [("XTRIM", "p:t:u", "MINID", "501-0"), add("u", 501, 0)]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_outbox, "MAX_RETAINED", 20)
    monkeypatch.setattr(redis_outbox, "MAX_WAITING_SIGNALS", 5)
    outbox = filled(*range(30))
    outbox.expect("t", None)
    flush(outbox)
    outbox.rewind({"t": None}, wiped=True)
    kept = [command[2] for command in flush(outbox)]
    assert kept[-1] == "100-30"
    assert 18 <= len(kept) <= 20
    for number in range(7):
        outbox.signal("sig", b"%d" % number)
    assert [command[-1] for command in flush(outbox)] == [b"5", b"6"]
    assert outbox.waiting_signals == set()


def test_the_top_is_read_from_what_redis_says() -> None:
    said = {b"last-generated-id": b"7-3", b"last-entry": [b"7-3", [b".log", b"{}"]]}
    assert parse_top(said.items()) == Top(7, 2, "log")
    assert parse_top({b"last-generated-id": b"7-3", b"last-entry": None}.items()) == Top(7, 2, None)
    assert parse_top({b"last-generated-id": b"0-0", b"last-entry": None}.items()) is None


def test_what_is_forgotten_while_redis_is_away_takes_no_room() -> None:
    outbox = filled(0)
    flush(outbox)
    prices = 5 * redis_outbox.MIN_TO_CLEAR
    for offset in range(1, prices):
        outbox.publish("t", offset, b"%d" % offset)
        if offset > 10:
            # As prices are: each replaces one before it.
            outbox.forget("t", [offset - 10])
    assert len(outbox) <= redis_outbox.MIN_TO_CLEAR + 30
    assert flush(outbox) == [add("t", 100, offset) for offset in range(prices - 10, prices)]
    assert len(outbox) == 0


def test_what_was_forgotten_unwritten_is_no_loss_of_redis() -> None:
    outbox = filled(0, 1)
    outbox.forget("t", [1])
    assert flush(outbox)[0] == add("t", 100, 0)
    assert not outbox.has_lost("t", Top(100, 0, ""))
    # What may have been written is deleted, though its answer was lost.
    outbox.publish("t", 2, b"2")
    outbox.take(10)
    outbox.forget("t", [2])
    outbox.rewind({"t": Top(100, 2, "")})
    assert flush(outbox) == [("XDEL", "p:t:t", "100-3")]


def test_a_run_whose_end_is_forgotten_ends_before_it() -> None:
    outbox = make()
    outbox.begin("t", "")
    for offset in range(4):
        outbox.publish("t", offset, b"%d" % offset, more=offset < 3)
    outbox.forget("t", [2, 3])
    assert flush(outbox)[:2] == [add("t", 100, 0, mark="+"), add("t", 100, 1)]
