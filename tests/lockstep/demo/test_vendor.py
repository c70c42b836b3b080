from __future__ import annotations

import itertools
from typing import Any

from feeds.vendors.lockstep import adapt
from lockstep.demo.game import HALF_FRAMES, MATCH_FRAMES, Game, What
from lockstep.demo.vendor import Message, Vendor

KICKOFF_MS = 1_767_268_800_000
GAME = Game(7)
VENDOR = Vendor(GAME, KICKOFF_MS)
MESSAGES = VENDOR.messages(0, HALF_FRAMES)


def items(kind: str) -> list[dict[str, Any]]:
    return [item for message in MESSAGES for item in message.items if item["type"] == kind]


def test_its_format_is_the_documented_one() -> None:
    for message in MESSAGES:
        adapted = adapt("desk", list(message.items))
        assert len(adapted.facts) == len(message.items)


def test_nothing_is_written_before_it_happens_and_all_is_sent_late() -> None:
    for message in MESSAGES:
        for item in message.items:
            if "occurred_at" in item:
                frame = (item["occurred_at"] - KICKOFF_MS) // 40
                assert item.get("body", {}).get("frame", frame) == frame
                assert frame < message.due < frame + 5 * 25


def test_it_is_the_same_in_pieces() -> None:
    pieces = [message for first in range(0, 3_000, 100) for message in VENDOR.messages(first, first + 100)]
    assert sorted(pieces) == VENDOR.messages(0, 3_000)


def test_it_comes_twice_and_out_of_order() -> None:
    ids = [message.id for message in MESSAGES]
    assert len(ids) > len(set(ids))
    plays = [item["occurred_at"] for item in items("play") + items("possession") if item["op"] == "new"]
    assert plays != sorted(plays)
    told = [
        message.items[0]["body"]["frame"]
        for message in MESSAGES
        if message.id.startswith("m") and "body" in message.items[0]
    ]
    assert any(one > other for one, other in itertools.pairwise(told))


def test_a_correction_has_no_time_and_a_reversal_has_its_own() -> None:
    amends = [item for item in items("play") if item["op"] == "amend"]
    assert amends
    assert all("occurred_at" not in item for item in amends)
    retracts = [item for item in items("play") if item["op"] == "retract"]
    taken_back = [one for one in GAME.moments(0, HALF_FRAMES) if one.what is What.TAKEN_BACK]
    assert [(item["id"], item["occurred_at"]) for item in retracts] == [
        (f"m{one.about}", KICKOFF_MS + one.frame * 40) for one in taken_back
    ]


def test_a_shot_closes_the_markets_before_the_goal_falls() -> None:
    stops = {item["body"]["frame"] for item in items("suspend")}
    goals = [one.frame for one in GAME.moments(0, HALF_FRAMES) if one.what is What.GOAL]
    assert goals
    assert all(any(goal - 25 < stop < goal for stop in stops) for goal in goals)


def test_markets_open_again_with_prices_and_never_while_bets_are_closed() -> None:
    opened = items("market")
    assert len({item["body"]["frame"] for item in opened}) > 5
    for item in opened + items("price"):
        assert GAME.may_bet(item["body"]["frame"])
        for out in item["body"]["price"]["out"]:
            assert 1_020 <= out["milli"] <= 34_000


def test_who_scored_next_is_settled_once_for_each_goal_that_stands() -> None:
    settled = [item["body"]["settle"]["mid"] for item in items("settle")]
    home, away = GAME.last(HALF_FRAMES).score
    assert settled == [f"next-0-{before}" for before in range(home + away)]


def test_every_book_has_its_margin() -> None:
    for item in items("price")[::50]:
        shares = [1000 / out["milli"] for out in item["body"]["price"]["out"]]
        assert 1.0 < sum(shares) < 1.12


def test_messages_are_ordered_by_when_they_are_sent() -> None:
    assert sorted(MESSAGES) == MESSAGES
    assert Message(1, "a", ({"x": 1},)) == Message(1, "a", ({"x": 2},))


def test_the_next_match_begins_from_nothing() -> None:
    starts = [
        item for message in VENDOR.messages(MATCH_FRAMES, MATCH_FRAMES + 1) for item in message.items
        if item["type"] in ("period", "market")
    ]  # fmt: skip
    assert {item["type"] for item in starts} == {"period", "market"}
    assert {item["body"]["market"]["mid"] for item in starts if item["type"] == "market"} == {
        "winner-1", "next-1-0", "total-1"
    }  # fmt: skip
