from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hub.floors import Floors
from hub.messages import cue_map
from hub.state import KEPT_CLAIMS, State
from kernel.cues import CueClass, CueType, Entry, Op
from kernel.value import replace
from tests.hub.makers import at, entry


def score(o: int, seconds: float, home: int, *, id_: str = "", rev: int = 1, op: Op | None = None) -> Entry:
    body = {"score": {"home": home, "away": 0}} if op not in (Op.RETRACT, Op.CONFIRM) else {}
    one = entry(o, at(seconds), id=id_ or f"nba:{o}", rev=rev, type=CueType.SCORE, body=body)
    return replace(one, cue=replace(one.cue, op=op)) if op is not None else one


def market(o: int, ver: int, st_: str = "open", milli: int | None = None) -> Entry:
    body: dict[str, Any] = {"market": {"mid": "m", "st": st_, "ver": ver}}
    if milli is not None:
        body["price"] = {"mid": "m", "ver": ver, "out": [{"oid": "1", "milli": milli}]}
    cls = CueClass.REOPEN if st_ == "open" else CueClass.LOCKED
    return entry(o, at(1), id="odds:m", rev=ver, type=CueType.MARKET, cls=cls, body=body)


def state(*entries: Entry) -> State:
    one = State(Floors())
    for each in entries:
        one.fold(each)
    return one


def home(one: State) -> Any:
    return one.visible().get("score", {}).get("home")


def test_the_latest_in_the_picture_counts_not_the_latest_to_come() -> None:
    assert home(state(score(0, 5, 2), score(1, 3, 1))) == 2


def test_a_revision_replaces_and_a_retraction_lets_the_one_before_stand() -> None:
    first, second = score(0, 1, 1), score(1, 2, 2, id_="nba:g")
    assert home(state(first, second, score(2, 2, 3, id_="nba:g", rev=2))) == 3
    assert home(state(first, second, score(2, 2, 0, id_="nba:g", rev=2, op=Op.RETRACT))) == 1
    assert home(state(first, second, score(2, 2, 0, id_="nba:g", rev=2, op=Op.CONFIRM))) == 2
    assert home(state(score(0, 1, 0, op=Op.RETRACT))) is None


def test_a_few_claims_are_kept() -> None:
    one = state(*(score(o, o, o) for o in range(KEPT_CLAIMS + 3)))
    assert [len(value) for section, _, value in one.atoms() if section == "claims"] == [KEPT_CLAIMS]


def test_every_slot_of_any_cue() -> None:
    body = {"score": {"home": 1, "away": 2}, "clock": {"ms": 5}, "period": 2, "possession": "HOM", "txt": "x"}
    settle = entry(1, at(2), type=CueType.SETTLE, body={"settle": {"mid": "m", "result": "1"}})
    visible = state(entry(0, at(1), body=body), settle).visible()
    assert {name: visible[name] for name in ("clock", "period", "possession")} == {
        "clock": {"ms": 5}, "period": 2, "possession": "HOM",
    }  # fmt: skip
    assert visible["settle/m"] == {"mid": "m", "result": "1"}


def test_markets_and_prices_go_by_version() -> None:
    price = entry(9, at(1), type=CueType.PRICE, body={"price": {"mid": "m", "ver": 4, "out": []}})
    one = state(market(0, 5, milli=2_000), price)
    assert one.visible()["prices"]["m"]["ver"] == 5
    assert one.markets()["m"]["st"] == "open"


def test_the_price_of_a_closed_market_is_void() -> None:
    one = state(market(0, 5, milli=2_000), market(1, 6, "suspended"))
    assert one.visible()["prices"] == {}
    one.fold(market(2, 7, milli=2_100))
    assert one.visible()["prices"]["m"]["out"][0]["milli"] == 2_100


def test_the_floor_suspends_and_hides() -> None:
    one = state(market(0, 5, milli=2_000))
    one.floors.raise_by("suspend", {"ver": 6})
    assert (one.markets()["m"]["st"], one.visible()["markets"], one.visible()["prices"]) == ("suspended", {}, {})
    one.fold(market(1, 6, milli=1))
    assert one.markets()["m"]["ver"] == 5
    one.fold(market(2, 7))
    assert one.markets()["m"]["st"] == "open"


def test_a_market_that_is_retracted_is_gone() -> None:
    told = market(0, 5, milli=2_000)
    gone = replace(told, o=1, cue=replace(told.cue, op=Op.RETRACT, cls=CueClass.LOCKED, body={}, before=told.cue.body))
    assert state(told, gone).visible()["markets"] == {}


def test_safety_is_not_folded() -> None:
    assert state(entry(0, None, type=CueType.SUSPEND, body={"ver": 3})).version == 0


def test_the_hash_changes_with_what_is_seen() -> None:
    one, other = state(score(0, 1, 1)), state(score(0, 1, 1))
    assert one.hash() == other.hash() == one.hash()
    one.fold(score(1, 2, 2))
    assert one.hash() != other.hash()
    other.floors.raise_by("suspend", {"ver": 1})
    assert len(other.hash()) == 16


ENTRIES = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 5), st.sampled_from(["score", "market", "price", "retract"])),
    max_size=30,
)


def build(steps: list[tuple[int, int, str]]) -> list[Entry]:
    made: list[Entry] = []
    for o, (seconds, number, what) in enumerate(steps):
        if what == "score":
            made.append(score(o, seconds, number))
        elif what == "market":
            made.append(market(o, o, "open" if number % 2 else "closed", 1_000 + number if number % 2 else None))
        elif what == "price":
            body = {"price": {"mid": "m", "ver": o, "out": [{"oid": "1", "milli": number + 1}]}}
            made.append(entry(o, at(seconds), type=CueType.PRICE, body=body))
        else:
            scores = [one for one in made if one.cue.type is CueType.SCORE and one.cue.op is Op.NEW]
            if scores:
                target = scores[number % len(scores)]
                made.append(score(o, seconds, 0, id_=target.cue.id, rev=2, op=Op.RETRACT))
    return made


@given(ENTRIES)
def test_the_wire_says_the_same_as_the_log(steps: list[tuple[int, int, str]]) -> None:
    made = build(steps)
    client = State(Floors())
    for each in made:
        client.fold_cue(cue_map(each))
    assert client.visible() == state(*made).visible()


@given(ENTRIES, st.integers(0, 30))
def test_a_snapshot_carries_it_over(steps: list[tuple[int, int, str]], cut: int) -> None:
    made = build(steps)
    server, client = state(*made[:cut]), State(Floors())
    for section, key, value in server.atoms():
        client.load({section: {key: value}} if section not in ("", "floor") else {section or key: value})
    for each in made[cut:]:
        server.fold(each)
        client.fold_cue(cue_map(each))
    assert client.hash() == server.hash()


def test_a_copy_goes_its_own_way() -> None:
    state = State(Floors())
    state.fold(entry(0, at(1), type=CueType.SCORE, body={"score": {"home": 1, "away": 0}}))
    other = state.copy()
    assert other.visible() == state.visible()
    other.fold(entry(1, at(2), type=CueType.SCORE, body={"score": {"home": 2, "away": 0}}))
    other.fold(entry(2, at(2), type=CueType.MARKET, body={"market": {"mid": "m", "st": "closed", "ver": 3}}))
    assert state.visible()["score"]["home"] == 1
    assert state.visible()["markets"] == {}
    assert other.visible()["score"]["home"] == 2
