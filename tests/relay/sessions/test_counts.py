from __future__ import annotations

from relay.sessions.counts import CODES, SessionCounts


def test_all_names_are_there_from_the_beginning_and_no_others_come() -> None:
    counts = SessionCounts()
    assert list(counts.evictions) == list(CODES)
    for code in ("session_limit", "ASSET_ERROR", "whatever an operator wrote"):
        counts.evicted(code)
    assert {code: count for code, count in counts.evictions.items() if count} == {
        "session_limit": 1, "ASSET_ERROR": 1, "unlisted": 1,
    }  # fmt: skip
    assert all(took.count == 0 for took in counts.took.values())
