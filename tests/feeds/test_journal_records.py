from __future__ import annotations

from feeds.journal_records import StreamRecord


def test_a_stream_never_seen_has_lost_nothing() -> None:
    record = StreamRecord(None, 0, None, [], [], [])
    assert (list(record.kept), record.reserved_ver, record.lost) == ([], 0, False)
