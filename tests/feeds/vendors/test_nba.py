"""NBA live data (FORMATS 1): hand-written actions, and one whole real game where it is at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from feeds.vendors.nba import adapt
from kernel.cues import CueType, Fact, Op
from kernel.errors import DecodeError
from kernel.strict_json import VENDOR_LIMITS, decode

GAME = Path(__file__).parents[3].parent / "shared/data/nba/live_0022000001.json"
T = 1_608_682_059
ACTION = {
    "actionNumber": 11,
    "clock": "PT11M38.00S",
    "timeActual": "2020-12-23T00:07:39.7Z",
    "period": 1,
    "periodType": "REGULAR",
    "teamTricode": "GSW",
    "actionType": "freethrow",
    "subType": "2 of 2",
    "scoreHome": "0",
    "scoreAway": "2",
    "edited": "2020-12-23T00:07:51Z",
    "orderNumber": 110000,
    "x": None,
    "description": "S. Curry Free Throw 2 of 2 (2 PTS)",
    "playerNameI": "S. Curry",
}
BODY = {
    "txt": "S. Curry Free Throw 2 of 2 (2 PTS)",
    "team": "GSW",
    "action": "freethrow",
    "sub": "2 of 2",
    "players": ["S. Curry"],
    "score": {"home": 0, "away": 2},
    "clock": {"period": 1, "ms": 698_000, "dir": "down"},
    "order": 110000,
}
FACT = Fact("nba", "11", Op.NEW, CueType.PLAY, T + 0.7, BODY, stamp=(T + 12) * 1000, sigma_s=0.03)


@pytest.mark.parametrize(
    "message",
    [ACTION, [ACTION], {"actions": [ACTION]}, {"meta": {}, "game": {"gameId": "1", "actions": [ACTION]}}],
    ids=["action", "list", "actions", "document"],
)
def test_an_action_a_list_or_a_document(message: Any) -> None:
    (fact,) = adapt("nba", message).facts
    assert fact.occurred_at == pytest.approx(FACT.occurred_at)
    assert (fact.id, fact.body, fact.stamp, fact.op, fact.type) == ("11", BODY, FACT.stamp, Op.NEW, CueType.PLAY)
    assert (fact.source, fact.rev, fact.sigma_s) == ("nba", None, 0.03)


def test_only_what_is_there_is_told() -> None:
    (fact,) = adapt("nba", {"actionNumber": 2, "timeActual": "2020-12-23T00:07:39Z", "scoreHome": "1"}).facts
    assert fact == Fact("nba", "2", Op.NEW, CueType.PLAY, T + 0.5, {}, sigma_s=0.3)


@pytest.mark.parametrize(
    ("action_type", "kind"),
    [
        ("period", CueType.PERIOD),
        ("game", CueType.PERIOD),
        ("substitution", CueType.LINEUP),
        ("2pt", CueType.PLAY),
        ("invented next season", CueType.PLAY),
        (None, CueType.PLAY),
        (["period"], CueType.PLAY),
    ],
)
def test_types(action_type: Any, kind: CueType) -> None:
    (fact,) = adapt("nba", {**ACTION, "actionType": action_type}).facts
    assert fact.type is kind


def test_both_who_shot_and_who_passed() -> None:
    (fact,) = adapt("nba", {**ACTION, "assistPlayerNameInitial": "K. Durant"}).facts
    assert fact.body["players"] == ["S. Curry", "K. Durant"]


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (7, "an action, a list of actions, or a document"),
        ({}, "an action, a list"),
        ({"game": {"actions": {}}}, "an action, a list"),
        ({"game": []}, "an action, a list"),
        ([ACTION, "x"], "action 1: a JSON object is expected, not 'x'"),
        ([ACTION, {"timeActual": "2020-12-23T00:07:39Z"}], "action 1: actionNumber: an integer is expected, not None"),
        ({**ACTION, "actionNumber": True}, "action 0: actionNumber: an integer"),
        ([{"actionNumber": 1}], "action 0: timeActual: the time of the action is missing"),
        ({**ACTION, "timeActual": "00:07"}, "action 0: timeActual: a time such as"),
        ({**ACTION, "edited": 7}, "action 0: edited: a time such as"),
        ({**ACTION, "clock": "11:38"}, "action 0: clock: a duration such as"),
        ({**ACTION, "scoreHome": "two"}, "action 0: scoreHome: points such as"),
        ({**ACTION, "scoreAway": "\u0662"}, "action 0: scoreAway: points such as"),
        ({**ACTION, "scoreAway": "9" * 9}, "action 0: scoreAway: points such as"),
    ],
)
def test_what_is_wrong_is_named(message: Any, says: str) -> None:
    with pytest.raises(DecodeError, match=says):
        adapt("nba", message)


@pytest.mark.skipif(not GAME.exists(), reason="the recorded game is not at hand")
def test_a_whole_game() -> None:
    facts = adapt("nba", decode(GAME.read_bytes(), VENDOR_LIMITS)).facts
    assert len(facts) == len({fact.id for fact in facts}) == 610
    assert sum(fact.type is CueType.LINEUP for fact in facts) == 96
    assert sum(fact.type is CueType.PERIOD for fact in facts) == 9
    assert all(fact.stamp is not None and fact.sigma_s == pytest.approx(0.03) for fact in facts)
    assert max(facts, key=lambda fact: fact.body["order"]).body["score"] == {"home": 125, "away": 99}
