from __future__ import annotations

from hub.floors import Floors
from hub.snapshot import snapshot
from hub.state import State
from kernel.cues import CueType
from kernel.strict_json import encode
from kernel.timeline import BEGINNING, END
from tests.hub.makers import at, entry


def markets(count: int) -> State:
    one = State(Floors())
    for number in range(count):
        body = {"price": {"mid": f"m{number}", "ver": number, "out": [{"oid": "1", "milli": 1_000}]}}
        one.fold(entry(number, at(1), type=CueType.PRICE, body=body))
    return one


def test_an_empty_state_is_one_piece() -> None:
    (piece,) = snapshot(State(Floors()), at(2, 1), "c", 8_192)
    assert piece.map == {
        "op": "snap",
        "i": 1,
        "n": 1,
        "as_of": {"tl": 1, "pts": 180_000},
        "hash": State(Floors()).hash(),
        "cur": "c",
        "state": {"floor": {"all": -1, "closed": {}, "dead": {}}},
    }
    assert piece.frames == {}


def test_before_everything_and_after_everything_have_no_place() -> None:
    for upto in (BEGINNING, END):
        assert snapshot(State(Floors()), upto, "c", 8_192)[0].map["as_of"] is None


def test_pieces_are_of_a_size_and_add_up() -> None:
    state = markets(500)
    pieces = snapshot(state, at(2), "c", 8_192)
    assert [(piece.map["i"], piece.map["n"]) for piece in pieces] == [(i + 1, len(pieces)) for i in range(len(pieces))]
    assert all(len(encode(piece.map)) < 9_000 for piece in pieces)
    assert len(pieces) < 8
    client = State(Floors())
    for piece in pieces:
        client.load(piece.map["state"])
    assert client.hash() == pieces[0].map["hash"]


def test_what_is_larger_than_a_piece_goes_alone() -> None:
    pieces = snapshot(markets(3), at(2), "c", 10)
    assert len(pieces) == 4
