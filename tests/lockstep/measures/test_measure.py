from __future__ import annotations

import re

import pytest

from lockstep.measures.catalogue import ALL
from lockstep.measures.measure import Measure, counter, gauge, histogram, measures_in, one

EVERY = [one for measures in ALL.values() for one in measures]

LABELS = {
    "event_id", "source", "state", "why", "outcome", "file", "mode", "format", "how", "code", "reason", "class",
    "limit", "kind", "status", "scope", "decision", "part", "version", "action",
}  # fmt: skip
"""Names out of the settings and words of ours: of each there are few."""


@pytest.mark.parametrize("measure", EVERY, ids=lambda measure: measure.name)
def test_a_measure_keeps_to_the_conventions(measure: Measure) -> None:
    assert re.fullmatch(r"lockstep_[a-z]+(_[a-z]+)*", measure.name)
    # Prometheus' naming: what only rises says so, times are seconds, sizes bytes.
    assert measure.name.endswith("_total") == (measure.kind == "counter")
    assert not re.search(r"_(ms|us|millis|kb|mb|minutes|percent)(_|$)", measure.name)
    assert measure.kind != "histogram" or measure.name.endswith("_seconds")
    assert measure.text.endswith(".")
    assert set(measure.labels) <= LABELS


def test_no_name_is_given_twice() -> None:
    assert len({measure.name for measure in EVERY}) == len(EVERY)


def test_measures_are_found_where_they_are_made() -> None:
    first, second = counter("a_total", "A.", "x"), gauge("b", "B.")
    assert measures_in({"FIRST": first, "other": 3, "SECOND": second}) == (first, second)
    assert one(second, 2.0) == (second, [((), 2.0)])
    assert histogram("c_seconds", "C.").kind == "histogram"
