from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relay.esni.elements import Name
from relay.esni.findings import Findings
from relay.esni.model import (
    ACTION,
    AUDIENCE,
    Apply,
    Audience,
    Document,
    Match,
    Media,
    MediaPoint,
    Policy,
    Property,
    Remove,
    ViewingPolicy,
)
from relay.esni.reading import read_document
from relay.esni.values import Between
from relay.esni.writing import write_document

TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff"), max_size=8
)
WORD = TEXT.map(str.strip)
URI = st.sampled_from(["urn:a", "example.com/b", "é&<"])
DATE = st.none() | st.integers(0, 2**41).map(lambda ms: Between(ms, ms))
SPAN = st.none() | st.integers(-(2**33), 2**33).map(lambda ms: Between(ms, ms))
COUNT = st.none() | st.integers(0, 1000)
ENTRY = {"id": st.none() | URI, "description": st.none() | TEXT, "updated": DATE}
PROPERTY = st.builds(Property, st.sampled_from(["DMA", "Device"]).map(lambda one: Name(f"{{{AUDIENCE}}}{one}")), WORD)
ACTIONS = st.builds(Property, st.sampled_from(["Content", "Drm"]).map(lambda one: Name(f"{{{ACTION}}}{one}")), WORD)
AUDIENCES = st.recursive(
    st.builds(Audience, href=URI),
    lambda parts: st.builds(
        Audience, match=st.sampled_from(Match), parts=st.lists(PROPERTY | parts, max_size=3).map(tuple), **ENTRY
    ),
    max_leaves=4,
)
VIEWING = st.builds(
    ViewingPolicy, audience=st.none() | AUDIENCES, actions=st.lists(ACTIONS, max_size=2).map(tuple), **ENTRY
)
POLICIES = st.builds(Policy, href=URI) | st.builds(Policy, viewing=st.lists(VIEWING, max_size=2).map(tuple), **ENTRY)
POINTS = st.builds(
    MediaPoint, effective=DATE, expires=DATE, match_time=DATE, match_offset=SPAN, order=COUNT, source=st.none() | URI,
    expected_duration=SPAN, removes=st.lists(st.builds(Remove, policy=POLICIES), max_size=1).map(tuple),
    applies=st.lists(st.builds(Apply, policy=POLICIES, duration=SPAN, priority=COUNT), max_size=2).map(tuple),
    signals=st.lists(WORD, max_size=2).map(tuple), terms=st.none() | WORD, **ENTRY,
)  # fmt: skip
MEDIA = st.builds(
    Media, source=st.none() | URI, effective=DATE, expires=DATE, points=st.lists(POINTS, max_size=2).map(tuple), **ENTRY
)
DOCUMENTS = st.builds(
    Document, *(st.lists(one, max_size=1).map(tuple) for one in (MEDIA, POLICIES, VIEWING, AUDIENCES))
)


@given(DOCUMENTS)
def test_what_is_written_is_read_back(document: Document) -> None:
    findings = Findings()
    assert read_document(write_document(document), "a.xml", findings) == document
    assert findings.all() == ()
