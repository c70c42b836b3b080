from __future__ import annotations

import pytest

from kernel.policies import PolicyRecord


def test_a_record_is_a_value() -> None:
    record = PolicyRecord("us-west", 1, "{}", 1.5, "ops")
    assert record == PolicyRecord("us-west", 1, "{}", 1.5, "ops")
    assert record != PolicyRecord("us-west", 2, None, 1.5, "ops")
    with pytest.raises(AttributeError):
        record.version = 2  # type: ignore[misc]
