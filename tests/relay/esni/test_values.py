from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.errors import DecodeError
from relay.esni.values import Between, date_of, date_text, number_text, span_of, span_text

NOON = 1_774_612_800_000
DAY, HOUR = 86_400_000, 3_600_000


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("2026-03-27T12:00:00Z", NOON, NOON),
        ("2026-03-27T14:00:00+02:00", NOON, NOON),
        (" 2026-03-27T12:00:00.250Z ", NOON + 250, NOON + 250),
        # Between two milliseconds: a window begins before, and ends behind.
        ("2026-03-27T12:00:00.2501Z", NOON + 250, NOON + 251),
        # Without a zone it is any of those that there are.
        ("2026-03-27T12:00:00", NOON - 14 * HOUR, NOON + 14 * HOUR),
        ("1970-01-01T00:00:00", 0, 14 * HOUR),
    ],
)
def test_dates(text: str, least: int, most: int) -> None:
    assert date_of(text) == Between(least, most)


@pytest.mark.parametrize(
    "text",
    ["", "2026-03-27", "2026-02-30T00:00:00Z", "1900-01-01T00:00:00Z", "-2026-03-27T12:00:00Z", "2026-03-27 12:00:00Z",
     "2026-03-27T12:00:00z", "\uff12026-03-27T12:00:00Z", "9" * 5000],
)  # fmt: skip
def test_what_is_no_date(text: str) -> None:
    with pytest.raises(DecodeError, match=r".{1,200}"):
        date_of(text)


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("PT3H30M", 12_600_000, 12_600_000),
        ("P1DT0.5S", DAY + 500, DAY + 500),
        ("-PT5S", -5_000, -5_000),
        ("PT0.0001S", 0, 1),
        ("-PT0.0001S", -1, 0),
        ("P1M", 28 * DAY, 31 * DAY),
        ("P1Y", 365 * DAY, 366 * DAY),
    ],
)
def test_spans(text: str, least: int, most: int) -> None:
    assert span_of(text) == Between(least, most)


@pytest.mark.parametrize("text", ["", "P", "PT", "P1DT", "3H", "PT1.5H", "PT-5S", "P" + "9" * 400 + "D", "PT1e3S"])
def test_what_is_no_span(text: str) -> None:
    with pytest.raises(DecodeError, match="is no duration"):
        span_of(text)


def test_what_lies_behind() -> None:
    assert Between(10, 20).plus(Between(-1, 5)) == Between(9, 25)


@given(st.integers(0, 253_402_300_799_999))
def test_dates_that_are_written_are_read_back(ms: int) -> None:
    assert date_of(date_text(ms)) == Between(ms, ms)


@given(st.integers(-(10**12), 10**12))
def test_spans_that_are_written_are_read_back(ms: int) -> None:
    assert span_of(span_text(ms)) == Between(ms, ms)


@given(st.floats(-180, 180))
def test_numbers_that_are_written_are_read_back(value: float) -> None:
    text = number_text(value)
    assert float(text) == (value if abs(value) > 1e-3 else pytest.approx(value, abs=1e-20))
    assert "e" not in text.lower()
    assert len(text) <= 25


def test_numbers_of_integers() -> None:
    assert (number_text(5), number_text(1e-7)) == ("5", "0.0000001")
