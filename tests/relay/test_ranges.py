from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.ranges import ByteRange, Unsatisfiable, parse_range


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        # RFC 9110, 14.1.2
        ("bytes=0-499", ByteRange(0, 500)),
        ("bytes=500-", ByteRange(500, 1000)),
        ("bytes=-500", ByteRange(500, 1000)),
        ("bytes=999-999", ByteRange(999, 1000)),
        ("bytes=0-99999", ByteRange(0, 1000)),
        ("bytes=-99999", ByteRange(0, 1000)),
        ("Bytes=1-2", ByteRange(1, 3)),
        # Unsatisfiable: no byte of it is there
        ("bytes=1000-", Unsatisfiable()),
        ("bytes=-0", Unsatisfiable()),
        # The whole body: none asked for, several, another unit, or not to be read
        (None, None),
        ("bytes=0-1,5-6", None),
        ("bytes=" + ",".join(f"{i}-{i}" for i in range(2000)), None),
        ("items=0-1", None),
        ("bytes=5-2", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("bytes=" + "9" * 40 + "-", None),
    ],
)
def test_a_range_header(header: str | None, expected: ByteRange | Unsatisfiable | None) -> None:
    assert parse_range(header, 1000) == expected


def test_an_empty_body_has_no_bytes() -> None:
    assert parse_range("bytes=0-", 0) == Unsatisfiable()
    assert parse_range("bytes=-5", 0) == Unsatisfiable()


@given(st.text(max_size=40), st.integers(0, 10_000))
def test_whatever_is_asked_the_answer_lies_within(header: str, length: int) -> None:
    wanted = parse_range("bytes=" + header, length)
    if isinstance(wanted, ByteRange):
        assert 0 <= wanted.start < wanted.stop <= length
