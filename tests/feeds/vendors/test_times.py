"""Vendors' spellings of time (FORMATS 1) and how exactly each is known (DESIGN 5.3)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.vendors.times import Moment, parse_clock_ms, parse_stamp_ms, parse_time
from kernel.errors import DecodeError

T = 1_774_639_800  # 2026-03-27T19:30:00Z


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        # Whole seconds were cut off: half a second later on average
        ("2026-03-27T19:30:00Z", Moment(T + 0.5, 0.3)),
        ("2026-03-27T20:30:00+01:00", Moment(T + 0.5, 0.3)),
        # A fraction is taken as it stands, exact to its digits
        ("2026-03-27T19:30:00.0Z", Moment(T, 0.03)),
        ("2026-03-27T19:30:00.7Z", Moment(T + 0.7, 0.03)),
        ("2026-03-27T19:30:00.25Z", Moment(T + 0.25, 0.003)),
        ("2026-03-27T19:30:00.250Z", Moment(T + 0.25, 0.0003)),
        ("2026-03-27T19:30:00.2500000Z", Moment(T + 0.25, 0.0003)),
        ("2026-03-27T19:30:00,5Z", Moment(T + 0.5, 0.03)),
        # Spellings
        ("2026-03-27 19:30:00.5Z", Moment(T + 0.5, 0.03)),
        ("2026-03-27t19:30:00.5z", Moment(T + 0.5, 0.03)),
        ("2026-03-27T15:00:00.5-0430", Moment(T + 0.5, 0.03)),
        ("2016-12-31T23:59:60.5Z", Moment(1_483_228_800.5, 0.03)),
        # Unix milliseconds
        (T * 1000 + 250, Moment(T + 0.25, 0.0003)),
    ],
)
def test_times(value: Any, moment: Moment) -> None:
    read = parse_time(value, "t")
    assert read.unix_s == pytest.approx(moment.unix_s, abs=1e-6)
    assert read.sigma_s == pytest.approx(moment.sigma_s)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        1_774_639_800.5,
        T,  # seconds
        T * 1_000_000,  # microseconds
        -1,
        "",
        "now",
        "2026-03-27T19:30:00",  # no zone
        "2026-03-27",
        "2026-13-27T19:30:00Z",
        "2026-02-30T19:30:00Z",
        "2026-03-27T24:30:00Z",
        "2026-03-27T19:30:61Z",
        "2026-03-27T19:30:00+99:00",
        "2026-03-27T19:30:00.1234567890Z",
        "9999-12-31T23:59:60Z",
        "\u0662026-03-27T19:30:00Z",
        "2026-03-27T19:30:00Z\n",
        [],
    ],
)
def test_what_is_no_time_is_named(value: Any) -> None:
    with pytest.raises(DecodeError, match="occurred_at: a time such as"):
        parse_time(value, "occurred_at")


@given(st.datetimes(datetime(1974, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - naive bounds
def test_microseconds_agree_with_datetime(at: datetime) -> None:
    text = at.isoformat(timespec="microseconds")
    assert parse_time(text, "t").unix_s == pytest.approx(at.timestamp(), abs=1e-6)
    assert parse_stamp_ms(text, "t") == int(at.timestamp()) * 1000 + at.microsecond // 1000


def test_a_stamp_is_as_written() -> None:
    assert parse_stamp_ms("2026-03-27T19:30:00Z", "edited") == T * 1000
    assert parse_stamp_ms("2026-03-27T19:30:00.7Z", "edited") == T * 1000 + 700
    with pytest.raises(DecodeError, match="edited: a time"):
        parse_stamp_ms(T * 1000, "edited")


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("PT11M11.00S", 671_000),
        ("PT00M00.70S", 700),
        ("PT12M", 720_000),
        ("PT1H2M3.5S", 3_723_500),
        ("PT9S", 9_000),
        ("PT9.1239S", 9_123),
    ],
)
def test_clocks(text: str, ms: int) -> None:
    assert parse_clock_ms(text, "clock") == ms


@pytest.mark.parametrize("value", ["PT", "", "11:11", "P1D", "PT-1S", "PT1S ", "PT\u0661S", 660, None])
def test_what_is_no_clock_is_named(value: Any) -> None:
    with pytest.raises(DecodeError, match="clock: a duration"):
        parse_clock_ms(value, "clock")
