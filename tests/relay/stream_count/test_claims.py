from __future__ import annotations

from typing import Any

import pytest

from relay.stream_count.claims import ENTITLEMENTS, MAX_ENTITLEMENTS, STREAM_COUNT, is_streams, streams_of


def test_entitlements_have_their_counts() -> None:
    said = {ENTITLEMENTS: [{"svod": "854", "streamcount": "1"}, {"svod": "478", "streamcount": 2}, {"svod": "9"}]}
    assert streams_of(said) == (("854", 1), ("478", 2))
    assert streams_of(said | {STREAM_COUNT: "4"}) == (("854", 1), ("478", 2), ("", 4))
    assert streams_of({STREAM_COUNT: "4"}) == (("", 4),)
    assert streams_of({}) == ()
    # The same one twice: the better one was bought.
    twice = [{"svod": "854", "streamcount": "3"}, {"svod": "854", "streamcount": "1"}]
    assert streams_of({ENTITLEMENTS: twice}) == (("854", 3),)


@pytest.mark.parametrize(
    "said",
    [
        {STREAM_COUNT: "four"},
        {STREAM_COUNT: -1},
        {STREAM_COUNT: True},
        {STREAM_COUNT: 2.0},
        {STREAM_COUNT: "10000"},
        {STREAM_COUNT: 1_001},
        {ENTITLEMENTS: {"svod": "854", "streamcount": "1"}},
        {ENTITLEMENTS: ["854"]},
        {ENTITLEMENTS: [{"svod": 854, "streamcount": "1"}]},
        {ENTITLEMENTS: [{"svod": "a b", "streamcount": "1"}]},
        {ENTITLEMENTS: [{"streamcount": "1"}]},
        {ENTITLEMENTS: [{"svod": "854", "streamcount": "x"}]},
        {ENTITLEMENTS: [{"svod": str(n), "streamcount": "1"} for n in range(MAX_ENTITLEMENTS + 1)]},
    ],
)
def test_what_is_wrong_is_not_taken_for_no_limit(said: dict[str, Any]) -> None:
    assert streams_of(said) is None


def test_our_own_claim() -> None:
    assert is_streams((("854", 1), ("", 0)))
    assert is_streams(())
    assert not is_streams((("854", 1), ("854", 2)))
    assert not is_streams((("8:4", 1),))
    assert not is_streams((("854", -1),))
    assert not is_streams(tuple((str(n), 1) for n in range(MAX_ENTITLEMENTS + 2)))
