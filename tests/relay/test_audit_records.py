from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.decisions import Scope, Verdict
from kernel.errors import DecodeError
from kernel.policies import PolicyRecord
from kernel.strict_json import decode_known, encode_known
from kernel.tokens import Reason
from kernel.value import replace as changed
from relay.audit import Judged, Note
from relay.audit_records import (
    DecisionRecord,
    Gap,
    Inputs,
    PolicyText,
    Said,
    decision_bytes,
    difference,
    gap_bytes,
    inputs_from,
    inputs_of,
    judge_again,
    policy_bytes,
    record_of,
)
from relay.place.model import ClassAction, Fix, NetworkClass, PlaceVerdict, Point, known_place
from tests.support.auditing import FIX, PLACE, WEST, Policy, judged, note
from tests.support.tokens import NOW

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
numbers = st.floats(allow_nan=False, allow_infinity=False)
reasons = st.none() | st.sampled_from(Reason)
fixes = st.builds(Fix, st.builds(Point, numbers, numbers), numbers, numbers)
places = st.builds(
    known_place, texts, *[st.none() | texts] * 4, st.none() | st.builds(Point, numbers, numbers), st.none() | numbers,
    st.none() | texts, st.none() | st.integers(0, 2**32), st.frozensets(st.sampled_from(NetworkClass)),
    is_public=st.booleans(),
)  # fmt: skip
verdicts = st.builds(PlaceVerdict, reasons, reasons, reasons, texts, texts)
judgements = st.builds(
    Judged, st.just(WEST), verdicts, numbers, places, st.none() | fixes, st.none() | fixes, texts, st.none(),
    st.none() | st.sampled_from(ClassAction),
)  # fmt: skip
notes = st.builds(
    Note, st.floats(0, 4e9), texts, texts, texts, st.sampled_from(Scope), st.sampled_from(Verdict), reasons,
    st.none() | texts, st.none() | judgements, texts,
)  # fmt: skip


@given(st.integers(0, 2**60), notes)
def test_a_decision_comes_back_as_it_was(seq: int, one: Note) -> None:
    data = decision_bytes(seq, one)
    assert b"\n" not in data
    asked = one.judged
    assert record_of(data) == DecisionRecord(
        seq, round(one.at * 1000), one.session, one.account, one.event_id, one.scope, one.verdict, one.reason,
        "west" if asked else one.policy_id, 1 if asked else None, asked.locator if asked else "",
        asked.verdict if asked else None,
    )  # fmt: skip
    again = inputs_from(decode_known(encode_known(inputs_of(one))))
    if asked is None:
        assert again == Inputs(one.at, one.address)
    else:
        assert again == Inputs(asked.now, asked.place.address, asked.place, asked.fix, asked.previous, asked.mismatch)


def test_what_is_personal_stands_in_no_record() -> None:
    data = decision_bytes(7, note(asked=judged(fix=FIX)))
    for text in ("203.0.113", "Pasadena", "91101", "118.", "34.", "64500", "vpn"):
        assert text not in data.decode()


def test_the_other_kinds() -> None:
    assert record_of(policy_bytes(1, 1.5, judged())) == PolicyText(1, 1500, "west", 1, WEST.text or "")
    assert record_of(gap_bytes(2, 1.5, 40)) == Gap(2, 1500, 40)
    # What a later Lockstep adds at the end does not keep this one from reading.
    assert record_of(b'["g",2,1500,40,"more"]') == Gap(2, 1500, 40)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"{}",
        b"1",
        b"[]",
        b'["x",1,1]',
        b'["d",1,1]',
        b'["d","1",1]',
        b'["g",1,1]',
        b'["p",1,1,2,3,4]',
        b"\xff",
    ]
    + [b"[" * 100_000]
    + [
        decision_bytes(1, note()).replace(*pair)
        for pair in ((b'"watch"', b'"look"'), (b'"admit"', b"[]"), (b'"s1"', b"1"))
    ],
)
def test_what_is_no_record_is_said(data: bytes) -> None:
    with pytest.raises(DecodeError, match="no record"):
        record_of(data)


@pytest.mark.parametrize("value", [None, 1, [], [1], ["x", "a"], [1, 2], [1, "a", []], [1, "a", [1] * 10, None, None]])
def test_what_are_no_inputs_is_said(value: object) -> None:
    with pytest.raises(DecodeError, match="no inputs"):
        inputs_from(value)


def test_the_same_question_has_the_same_answer() -> None:
    asked = judged(fix=replace(FIX, at=NOW - 59.877))
    record = record_of(decision_bytes(1, note(asked=asked)))
    assert isinstance(record, DecisionRecord)
    inputs = inputs_from(json.loads(encode_known(inputs_of(note(asked=asked)))))
    again = judge_again(Policy(["DE"]), inputs)
    # To the bit: a fix that is just not stale is just not stale again.
    assert again == asked.verdict
    assert difference(record, [again]) is None
    changed = judge_again(Policy(["US"]), inputs)
    assert changed is not None
    assert difference(record, [changed]) == "watch was nothing, is geo_blocked"
    assert judge_again(Policy([]), Inputs(1.0, "::1")) is None


def test_a_refusal_that_the_policy_does_not_say() -> None:
    asked = judged()
    refused = note(asked=asked)._replace(verdict=Verdict.REFUSE, reason=Reason.VPN)
    record = record_of(decision_bytes(1, refused))
    assert isinstance(record, DecisionRecord)
    assert "refuse for vpn" in (difference(record, [asked.verdict]) or "")
    warned = changed(asked.verdict, warning=Reason.VPN)
    for verdict, fits in ((Verdict.WARN, True), (Verdict.REFUSE, False)):
        told = note(asked=changed(asked, verdict=warned))._replace(verdict=verdict, reason=Reason.VPN)
        record = record_of(decision_bytes(1, told))
        assert isinstance(record, DecisionRecord)
        assert (difference(record, [warned]) is None) == fits
    expired = record_of(decision_bytes(1, refused._replace(reason=Reason.EXPIRED)))
    assert isinstance(expired, DecisionRecord)
    assert difference(expired, [asked.verdict]) is None
    nothing = record_of(decision_bytes(1, note()))
    assert isinstance(nothing, DecisionRecord)
    assert difference(nothing, [asked.verdict]) is not None


def test_fields_of_a_place_all_matter() -> None:
    told = inputs_of(note(asked=judged()))
    assert inputs_from(told).place == PLACE


def test_two_policies_that_must_agree() -> None:
    east = PolicyRecord("east", 4, '{"deny":["US"]}', 1.0, "ops")
    first, other = judged(policy=east), judged()
    both = changed(first, beside=other)
    record = record_of(decision_bytes(1, note(asked=both)))
    assert isinstance(record, DecisionRecord)
    told = [changed(one.verdict, recheck_s=None) for one in (first, other)]
    assert record.answers() == [Said("east", 4, told[0]), Said("west", 1, told[1])]
    assert difference(record, [first.verdict, other.verdict]) is None
    assert difference(record, [first.verdict]) is not None
    assert difference(record, [first.verdict, first.verdict]) == "watch was nothing, is geo_blocked"
    # Refused for what the other one says, or for one that was not in force.
    swapped = note(asked=changed(other, beside=first))._replace(verdict=Verdict.REFUSE, reason=Reason.GEO_BLOCKED)
    for reason, fits in ((Reason.GEO_BLOCKED, True), (Reason.POLICY_UNKNOWN, True), (Reason.TOR, False)):
        record = record_of(decision_bytes(1, swapped._replace(reason=reason)))
        assert isinstance(record, DecisionRecord)
        assert (difference(record, [other.verdict, first.verdict]) is None) == fits


@pytest.mark.parametrize("asked", [None, judged()])
def test_the_blackouts_that_applied_are_on_record(asked: Judged | None) -> None:
    dark = note(asked=asked)._replace(reason=Reason.BLACKOUT, verdict=Verdict.REFUSE, blackouts=("blk_1", "blk_2"))
    record = record_of(decision_bytes(1, dark))
    assert isinstance(record, DecisionRecord)
    assert (record.blackouts, record.beside, record.reason) == (("blk_1", "blk_2"), None, Reason.BLACKOUT)
    assert difference(record, [] if asked is None else [asked.verdict]) is None
    if asked is not None:
        both = dark._replace(judged=changed(asked, beside=asked))
        again = record_of(decision_bytes(1, both))
        assert isinstance(again, DecisionRecord)
        assert again.blackouts == record.blackouts
        assert again.beside is not None
