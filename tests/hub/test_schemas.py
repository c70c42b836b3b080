from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from hub.requests import FIELDS, Fault, parse
from hub.schemas import CLIENT, SERVER
from hub.settings import HubSettings
from kernel.cues import CueType
from tests.delivery.world import World
from tests.hub.makers import at


@pytest.mark.parametrize("schema", [*CLIENT.values(), *SERVER.values()], ids=lambda one: str(one["properties"]["op"]))
def test_each_is_a_schema(schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)


def test_the_schemas_name_what_the_parser_takes() -> None:
    assert CLIENT.keys() == FIELDS.keys()
    for op, fields in FIELDS.items():
        assert CLIENT[op]["properties"].keys() == fields | {"op"}


MESSAGES: list[dict[str, Any]] = [
    {"op": "auth", "token": "t"},
    {"op": "auth"},
    {"op": "auth", "token": 1},
    {"op": "sub"},
    {"op": "sub", "mode": "edge", "types": ["play"], "markets": ["m"], "teams": ["t"], "conflate_ms": 250},
    {"op": "sub", "mode": "other"},
    {"op": "sub", "types": []},
    {"op": "sub", "types": None, "markets": None},
    {"op": "sub", "types": ["goal"]},
    {"op": "sub", "conflate_ms": -1},
    {"op": "sub", "cur": 3},
    {"op": "sub", "other": 3},
    {"op": "update", "cur": "x"},
    {"op": "update", "teams": ["a"]},
    {"op": "sub", "lead_ms": 250},
    {"op": "sub", "lead_ms": 2_500},
    {"op": "pos", "tl": 0, "pts": -1, "rate": 1.5, "stalled": True},
    {"op": "pos", "msn": 7, "pts": 8_589_934_591, "rate": 0},
    {"op": "pos", "msn": 7, "tl": 0, "pts": 1, "rate": 0},
    {"op": "pos", "pts": 1, "rate": 0},
    {"op": "pos", "tl": 0, "pts": 1, "rate": 17},
    {"op": "pos", "tl": 0, "pts": 1},
    {"op": "unsub"},
    {"op": "unsub", "t": 1},
    {"op": "ping", "t": "x"},
    {"op": "ping", "t": {}},
]


@pytest.mark.parametrize("message", MESSAGES, ids=json.dumps)
def test_parser_and_schema_agree(message: dict[str, Any]) -> None:
    taken = not isinstance(parse(json.dumps(message).encode(), "json", HubSettings()), Fault)
    assert jsonschema.Draft202012Validator(CLIENT[message["op"]]).is_valid(message) is taken


def test_what_a_hub_says_is_as_documented() -> None:
    world = World()
    for msn in range(4):
        world.open(msn)
    one, other = world.viewer("edge", conflate_ms=250), world.viewer()
    world.score(at(1), 1, "nba:g")
    world.score(at(1), 2, "nba:g", rev=2)
    world.market(at(1), milli=1_850)
    world.price(at(2))
    world.suspend()
    world.suspend("m1")
    world.invalidate()
    world.seal(at(1), type=CueType.PLAY, body={"txt": "é", "team": "HOM", "players": ["x"]})
    for message in ({"op": "update", "types": ["score"]}, {"op": "ping", "t": 1}, {"op": "sub"}, {"op": "unsub"}):
        world.say(one, message)
    world.wait(3)
    world.beat(other)
    seen = set()
    for viewer in world.viewers:
        for _, _, frame in viewer.wire.frames:
            jsonschema.validate(frame, SERVER[frame["op"]], jsonschema.Draft202012Validator)
            seen.add(frame["op"])
    assert seen == {"hello", "sub", "snap", "cue", "hb", "pong", "error", "unsub"}
