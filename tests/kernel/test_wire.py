"""Records survive the journal and the bus unchanged; damaged ones are named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel import strict_json, wire
from kernel.blackouts import BlackoutRecord
from kernel.cues import Cue, CueClass, CueType, Entry, Op
from kernel.errors import DecodeError
from kernel.marks import Opened, ReleaseMark, Served
from kernel.policies import PolicyRecord
from kernel.pts import Ticks
from kernel.revocation import Reinstatement, Revocation, RevocationChange, Subject, SubjectKind
from kernel.timeline import BEGINNING, END, MediaTime, SegmentKey, SegmentTiming, StreamState

counts = st.integers(0, 2**53)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
seconds = st.floats(allow_nan=False, allow_infinity=False)
ticks = st.integers(-(2**62), 2**62).map(Ticks)
media_times = st.builds(MediaTime, st.integers(-(2**62), 2**62), ticks) | st.sampled_from([BEGINNING, END])
bodies = st.dictionaries(texts, st.none() | counts | texts | st.lists(counts, max_size=2), max_size=3)
cues = st.builds(
    Cue,
    id=texts,
    rev=counts,
    op=st.sampled_from(Op),
    type=st.sampled_from(CueType),
    cls=st.sampled_from(CueClass),
    at=st.none() | media_times,
    msn=st.none() | counts,
    part=st.none() | counts,
    off=st.none() | st.integers(),
    wall_ms=st.none() | counts,
    sigma_ms=counts,
    body=bodies,
    late_ms=st.none() | counts,
    before=st.none() | bodies,
)
entries = st.builds(Entry, o=counts, cue=cues, due=st.none() | media_times)
timings = st.builds(
    SegmentTiming,
    stream=texts,
    generation=counts,
    msn=counts,
    part=st.none() | counts,
    uri=texts,
    timeline=counts,
    start=ticks,
    end=ticks,
    wall=st.none() | seconds,
    sigma_ms=seconds,
    method=st.none() | st.sampled_from(["tfdt", "pdt", "arrival"]),
)
marks = st.builds(
    ReleaseMark, stream=texts, generation=counts, msn=counts, part=st.none() | counts, upto=media_times, at=seconds
)
opened = st.builds(
    Opened,
    stream=texts,
    generation=counts,
    msn=counts,
    part=st.none() | counts,
    upto=st.none() | media_times,
    at=seconds,
)
serveds = st.builds(Served, stream=texts, session=texts, first_msn=counts, last_msn=counts)
states = st.builds(
    StreamState,
    stream=texts,
    target_duration_s=counts,
    live=st.booleans(),
    ended=st.booleans(),
    last=st.none() | st.builds(SegmentKey, counts, counts),
)


def over_the_wire(record: wire.Record) -> Any:
    return json.loads(strict_json.encode(wire.to_map(record)))


@given(entries)
def test_entry(entry: Entry) -> None:
    assert wire.entry_from_map(over_the_wire(entry)) == entry


@given(timings)
def test_timing(timing: SegmentTiming) -> None:
    assert wire.timing_from_map(over_the_wire(timing)) == timing


@given(marks)
def test_mark(mark: ReleaseMark) -> None:
    assert wire.mark_from_map(over_the_wire(mark)) == mark


@given(opened)
def test_opened(record: Opened) -> None:
    assert wire.opened_from_map(over_the_wire(record)) == record


@given(serveds)
def test_served(served: Served) -> None:
    assert wire.served_from_map(over_the_wire(served)) == served


@given(states)
def test_state(state: StreamState) -> None:
    assert wire.state_from_map(over_the_wire(state)) == state


subjects = st.builds(
    Subject, kind=st.sampled_from(SubjectKind), value=st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
) | st.builds(Subject, kind=st.just(SubjectKind.ACCOUNT), value=st.just("ann"), event_id=texts)
revocations = st.builds(Reinstatement, id=texts, subject=subjects) | st.builds(
    Revocation, id=texts, subject=subjects, reason=texts, made=seconds, expires=st.none() | counts, by=texts
)


@given(revocations)
def test_revocation(change: RevocationChange) -> None:
    assert wire.revocation_from_map(over_the_wire(change)) == change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"op": "forget"}, "revocation: op is revoke or reinstate, not 'forget'"),
        ({"op": None}, "revocation: op is"),
        ({"subject": {"kind": "ip", "value": "x", "event_id": None}}, "revocation: 'ip' is not a valid SubjectKind"),
        ({"subject": {"kind": "token", "value": "", "event_id": None}}, "revocation: a token has 1 to 256"),
        ({"subject": {"kind": "token"}}, "revocation: 'value' is missing"),
        ({"expires": 1.5}, "revocation: an integer is expected"),
    ],
)
def test_a_damaged_revocation_is_named(change: dict[str, Any], says: str) -> None:
    whole = wire.to_map(Revocation("r", Subject(SubjectKind.TOKEN, "t"), "", 1.0, None, "ops"))
    with pytest.raises(DecodeError, match=says):
        wire.revocation_from_map({**whole, **change})


def test_types_come_back_as_ours() -> None:
    entry = wire.entry_from_map(over_the_wire(ENTRY))
    assert type(entry.due) is MediaTime
    assert type(entry.cue.at) is MediaTime
    assert type(entry.cue.op) is Op
    assert type(wire.state_from_map(over_the_wire(STATE)).last) is SegmentKey


CUE = Cue("nba:7", 1, Op.NEW, CueType.PLAY, CueClass.LOCKED, MediaTime(0, Ticks(9)), 3, None, 2, 5, 1, {"txt": "x"})
ENTRY = Entry(4, CUE, MediaTime(0, Ticks(10)))
STATE = StreamState("game", 2, live=True, ended=False, begun=True, last=SegmentKey(0, 7))
MARK = ReleaseMark("game", 0, 7, None, MediaTime(0, Ticks(10)), 1.5)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"o": None}, "entry: an integer is expected, not None"),
        ({"o": True}, "entry: an integer is expected, not True"),
        ({"due": [1]}, "entry: not enough values"),
        ({"due": 3}, "entry: .*int"),
        ({"cue": {}}, "entry: 'id' is missing"),
        ({"cue": {**wire.to_map(ENTRY)["cue"], "op": "undo"}}, "entry: 'undo' is not a valid Op"),
        ({"cue": {**wire.to_map(ENTRY)["cue"], "body": []}}, "entry: an object is expected"),
        ({"cue": {**wire.to_map(ENTRY)["cue"], "id": 7}}, "entry: a text is expected"),
    ],
)
def test_a_damaged_entry_is_named(change: dict[str, Any], says: str) -> None:
    with pytest.raises(DecodeError, match=says):
        wire.entry_from_map({**wire.to_map(ENTRY), **change})


def test_other_damaged_records_are_named() -> None:
    with pytest.raises(DecodeError, match="stream state: true or false"):
        wire.state_from_map({**wire.to_map(STATE), "live": 1})
    with pytest.raises(DecodeError, match="release mark: a number"):
        wire.mark_from_map({**wire.to_map(MARK), "at": "now"})
    with pytest.raises(DecodeError, match="opened: 'stream' is missing"):
        wire.opened_from_map({})
    with pytest.raises(DecodeError, match="segment timing: 'method' is missing"):
        wire.timing_from_map({})


@given(st.builds(PolicyRecord, policy_id=texts, version=counts, text=st.none() | texts, made=seconds, by=texts))
def test_policy(record: PolicyRecord) -> None:
    assert wire.policy_from_map(over_the_wire(record)) == record
    # A newer Lockstep may say more of it: what it says here still counts, or a deletion could go unheard.
    assert wire.policy_from_map({**over_the_wire(record), "more": 1}) == record


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"version": "1"}, "policy: an integer is expected"),
        ({"text": 1}, "policy: a text is expected"),
        ({"made": None}, "policy: a number is expected"),
    ],
)
def test_a_damaged_policy_is_named(change: dict[str, Any], says: str) -> None:
    whole = wire.to_map(PolicyRecord("west", 1, "{}", 1.5, "ops"))
    with pytest.raises(DecodeError, match=says):
        wire.policy_from_map({**whole, **change})


@given(st.builds(BlackoutRecord, blackout_id=texts, event_id=texts, text=st.none() | texts, made=seconds, by=texts))
def test_blackout(record: BlackoutRecord) -> None:
    assert wire.blackout_from_map(over_the_wire(record)) == record
    assert wire.blackout_from_map({**over_the_wire(record), "more": 1}) == record


def test_a_damaged_blackout_is_named() -> None:
    whole = wire.to_map(BlackoutRecord("blk_1", "game1", "{}", 1.5, "ops"))
    with pytest.raises(DecodeError, match="blackout: a text is expected"):
        wire.blackout_from_map({**whole, "event_id": 1})
