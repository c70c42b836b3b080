"""Dates of playlists: ISO 8601, leap seconds, and exact to the millisecond."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.dates import format_date, parse_date
from kernel.errors import PlaylistError


@pytest.mark.parametrize(
    ("text", "unix_s"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("2024-03-04T23:02:17.684Z", 1709593337.684),
        (" 2024-03-04t23:02:17,684z ", 1709593337.684),
        ("2024-03-04T23:02:17.684", 1709593337.684),
        ("2024-03-05T00:02:17.684+01:00", 1709593337.684),
        ("2024-03-05T00:02:17.684+0100", 1709593337.684),
        ("2024-03-04T22:02:17.684-01", 1709593337.684),
        ("2024-03-04T23:02:17.6840009999Z", 1709593337.684),
        ("2016-12-31T23:59:60Z", 1483228800.0),
        ("2016-12-31T23:59:60.5Z", 1483228800.5),
        ("2017-01-01T00:59:60+01:00", 1483228800.0),
        ("2016-12-31T24:00:00Z", 1483228800.0),
        ("2024-03-05T04:32:17.684+05:30", 1709593337.684),
        ("2024-03-04T13:32:17.684-0930", 1709593337.684),
        ("2024-03-04T23:02:17-00:00", 1709593337.0),
        ("2024-03-04T23:02:17.684123456Z", 1709593337.684123),
        ("2024-03-04T23:02:17.684123456789012345Z", 1709593337.684123),
        ("2024-02-29T23:02:17.7Z", 1709247737.7),
        ("9999-12-31T23:59:59Z", 253402300799.0),
    ],
)
def test_parse_date(text: str, unix_s: float) -> None:
    assert parse_date(text) == unix_s


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2024-03-04",
        "2024-13-04T00:00:00Z",
        "2023-02-29T00:00:00Z",
        "2024-03-04T00:00:61Z",
        "2024-03-04T24:00:01Z",
        "2024-03-04T24:00:00.5Z",
        "2024-03-04T00:00:00+99:00",
        "2024-03-04T00:00:00+01:60",
        "2024-03-04T00:00:00.Z",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:30:00+01:00",
        "9999-12-31T23:59:60Z",
        "0001-01-01T00:00:00+10:00",
        "\u0662024-03-04T00:00:00Z",
        "2024-03-04T00:00:00Z\n2024",
    ],
)
def test_parse_date_refused(text: str) -> None:
    with pytest.raises(PlaylistError):
        parse_date(text)


@given(st.integers(min_value=0, max_value=253_402_300_799_999))
def test_dates_are_exact_to_the_millisecond(ms: int) -> None:
    text = format_date(ms / 1000)
    assert text.endswith("Z")
    assert round(parse_date(text) * 1000) == ms
