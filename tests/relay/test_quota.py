from __future__ import annotations

from relay.quota import Quota, QuotaLimits

LIMITS = QuotaLimits(requests_per_s=0.5, request_burst=3)


def test_a_burst_and_then_as_it_fills() -> None:
    quota = Quota(LIMITS)
    assert [quota.wait_s("ann", now=10.0) for _ in range(5)] == [0, 0, 0, 2, 2]
    assert quota.refused == 2
    assert quota.wait_s("ann", now=11.0) == 1
    assert quota.wait_s("ann", now=12.0) == 0
    assert quota.wait_s("ann", now=12.0) == 2


def test_it_never_holds_more_than_the_burst_nor_fills_backwards() -> None:
    quota = Quota(LIMITS)
    quota.wait_s("ann", now=0.0)
    assert [quota.wait_s("ann", now=1e6) for _ in range(4)] == [0, 0, 0, 2]
    assert quota.wait_s("ann", now=5.0) == 2


def test_each_has_a_bucket_of_their_own_as_long_as_they_are_known() -> None:
    quota = Quota(LIMITS)
    for _ in range(3):
        quota.wait_s("ann", now=0.0)
    assert quota.wait_s("bob", now=0.0) == 0
    quota.keep(frozenset({"ann"}))
    assert quota.wait_s("ann", now=0.0) == 2
    quota.keep(frozenset())
    assert quota.wait_s("ann", now=0.0) == 0
