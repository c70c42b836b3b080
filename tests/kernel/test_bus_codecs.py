"""What goes over the bus comes back as it was, kind by kind; what is damaged is named."""

from __future__ import annotations

from typing import Any

import pytest

from kernel.blackouts import BlackoutRecord
from kernel.bus import (
    blackouts_topic,
    entries_topic,
    epoch_signal,
    feeds_signal,
    marks_topic,
    opened_signal,
    policies_topic,
    progress_signal,
    revocations_topic,
    safety_topic,
    served_signal,
    state_signal,
    timings_topic,
)
from kernel.bus_codecs import codec_of
from kernel.cues import Cue, CueClass, CueType, Entry, Op
from kernel.errors import DecodeError
from kernel.feed_state import FeedProgress, FeedState, Health
from kernel.marks import Opened, ReleaseMark, Served
from kernel.policies import PolicyRecord
from kernel.pts import Ticks
from kernel.revocation import Reinstatement, Revocation, Subject, SubjectKind
from kernel.timeline import MediaTime, SegmentKey, SegmentTiming, StreamState

AT = MediaTime(1, Ticks(90_000))
CUE = Cue("desk:1", 1, Op.NEW, CueType.PLAY, CueClass.LOCKED, AT, 3, None, 5, 1_000, 0, {"txt": "Ö \U0001f3c0"})
SAFETY = Cue("desk:2", 1, Op.NEW, CueType.SUSPEND, CueClass.SAFETY, None, None, None, None, None, 0, {"ver": 3})


@pytest.mark.parametrize(
    ("topic", "record"),
    [
        (entries_topic("g"), Entry(7, CUE, AT)),
        (safety_topic("g"), Entry(8, SAFETY, None)),
        (timings_topic("g"), SegmentTiming("g", 0, 3, None, "x", 1, Ticks(0), Ticks(9), 1.25, 0.5, "pdt")),
        (marks_topic("g"), ReleaseMark("g", 0, 3, None, AT, 1_795_000_000.123456)),
        (opened_signal("g"), Opened("g", 0, 3, None, AT, 1.5, "epoch")),
        (opened_signal("g"), Opened("g", 0, 3, None, None, 1.5)),
        (served_signal("g"), Served("g", "sid", 3, 4)),
        (state_signal("g"), StreamState("g", 2, live=True, ended=False, begun=True, last=SegmentKey(0, 3))),
        (epoch_signal("g"), "e1"),
        (feeds_signal("g"), (FeedState("desk", Health.DOWN, "silent", 2.5),)),
        (feeds_signal("g"), ()),
        (progress_signal("g"), FeedProgress("desk", 9.5)),
        (revocations_topic(), Revocation("rev_1", Subject(SubjectKind.ACCOUNT, "ann"), "fraud", 1.5, None, "ops")),
        (revocations_topic(), Reinstatement("rev_1", Subject(SubjectKind.ACCOUNT, "ann", "g"))),
        (policies_topic(), PolicyRecord("us-west", 3, '{"policy_id":"us-west"}', 1.5, "ops")),
        (policies_topic(), PolicyRecord("us-west", 4, None, 1.5, "ops")),
        (blackouts_topic(), BlackoutRecord("blk_1", "game1", '{"event_id":"game1"}', 1.5, "ops")),
        (blackouts_topic(), BlackoutRecord("blk_1", "game1", None, 1.5, "ops")),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_record_comes_back_as_it_was(topic: Any, record: Any) -> None:
    codec = codec_of(topic.name)
    data = codec.encode(record)
    assert isinstance(data, bytes)
    assert codec.decode(data) == record


def test_what_has_no_kind_travels_as_plain_json() -> None:
    codec = codec_of("stream/anything")
    assert codec.decode(codec.encode({"a": [1, None]})) == {"a": [1, None]}


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"{}", b"[]"])
def test_what_is_damaged_is_named(data: bytes) -> None:
    with pytest.raises(DecodeError):
        codec_of("g/entries").decode(data)
