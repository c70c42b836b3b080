from __future__ import annotations

import pytest
from pydantic import Field

from kernel.errors import DecodeError
from relay.api import MAX_NAMED, Body, read_as


class Inner(Body):
    n: int = Field(ge=0)


class Outer(Body):
    name: str
    inner: list[Inner] = Field(default_factory=list)


def test_a_body_is_read_as_its_model() -> None:
    assert read_as(Outer, {"name": "a", "inner": [{"n": 1}]}) == Outer(name="a", inner=[Inner(n=1)])


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "name: Field required"),
        ({"name": 7}, "name: Input should be a valid string"),
        ({"name": "a", "inner": [{"n": "1"}]}, "inner.0.n: Input should be a valid integer"),
        ({"name": "a", "nmae": "b"}, "nmae: there is no such field; there are inner, name"),
        ({"name": "a", "inner": [{"n": 1, "m": 2}]}, "inner.0.m: there is no such field"),
        ([], "Input should be a valid dictionary or instance of Outer"),
    ],
)
def test_what_is_wrong_is_named(body: object, says: str) -> None:
    with pytest.raises(DecodeError) as raised:
        read_as(Outer, body)
    assert str(raised.value) == says


def test_no_fault_repeats_what_was_sent_and_few_are_named() -> None:
    with pytest.raises(DecodeError) as raised:
        read_as(Outer, {"name": "a", "inner": [{"n": "s3cret"}] * 50, "x" * 500: 1})
    text = str(raised.value)
    assert "s3cret" not in text
    assert len(text.split("; ")) <= MAX_NAMED
    assert "x" * 65 not in text
