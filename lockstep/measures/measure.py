"""What a measure is, by Prometheus' rules: base units, counters that only rise, labels from a small set.

A label's value is a name out of the settings or a word of ours: never a token, an id that came from outside, or
whatever else there may be any number of. All values that may occur are there from the beginning, at 0: a counter that
appears with its first increment has had no increase by Prometheus' reckoning.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from kernel.histogram import Histogram

Kind = Literal["counter", "gauge", "histogram"]
Value = float | Histogram


class Measure(NamedTuple):
    """One measure. `text` says what it means; `labels` are the names of its labels, in order."""

    name: str
    kind: Kind
    text: str
    labels: tuple[str, ...] = ()


class Reading(NamedTuple):
    """What a measure has come to: a value for each combination of labels."""

    measure: Measure
    rows: list[tuple[tuple[str, ...], Value]]


def counter(name: str, text: str, *labels: str) -> Measure:
    """Return a measure that only rises; its name ends in `_total`."""
    return Measure(name, "counter", text, labels)


def gauge(name: str, text: str, *labels: str) -> Measure:
    """Return a measure that rises and falls."""
    return Measure(name, "gauge", text, labels)


def histogram(name: str, text: str, *labels: str) -> Measure:
    """Return a measure of how values are spread."""
    return Measure(name, "histogram", text, labels)


def one(measure: Measure, value: Value) -> Reading:
    """Return the reading of a measure without labels."""
    return Reading(measure, [((), value)])


def measures_in(names: dict[str, object]) -> tuple[Measure, ...]:
    """Return the measures among a module's names, in the order in which they stand there."""
    return tuple(value for value in names.values() if isinstance(value, Measure))
