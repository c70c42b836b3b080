"""What is kept: within the budget, all costs counted, failures only for a moment."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.errors import OriginError, OriginMissing, PlaylistError
from kernel.io.origin_cache import ENTRY_BYTES, MAX_FAILURES, BodyCache, Fetched, Key, cost_bytes


def key(name: str) -> Key:
    return ("segment", name, 0, None)


def body(name: str, n_bytes: int = 0) -> Fetched:
    return Fetched(name, bytes(n_bytes), None, 0.0)


def test_the_least_lately_used_goes() -> None:
    cost = cost_bytes(key("a"), body("a"))
    cache = BodyCache(4 * cost, 1.0)
    for name in "abcd":
        cache.keep(key(name), body(name))
    assert cache.get(key("a")) is not None
    cache.keep(key("e"), body("e"))
    assert [name for name in "abcde" if cache.get(key(name))] == ["a", "c", "d", "e"]
    assert cache.used_bytes == 4 * cost


def test_a_body_beyond_a_quarter_of_the_budget_is_not_kept() -> None:
    cache = BodyCache(100_000, 1.0)
    cache.keep(key("a"), body("a", 10_000))
    cache.keep(key("big"), body("big", 25_000))
    assert cache.get(key("big")) is None
    # Nor does its former body stay.
    cache.keep(key("a"), body("a", 25_000))
    assert (cache.get(key("a")), cache.used_bytes) == (None, 0)


def test_names_and_overhead_count() -> None:
    fetched = Fetched("http://h/a", b"12345", "video/mp2t", 0.0)
    assert cost_bytes(key("http://h/a"), fetched) == 5 + 10 + 10 + 10 + ENTRY_BYTES
    cache = BodyCache(1_000_000, 1.0)
    for number in range(5_000):
        cache.keep(key(f"{number}"), body(f"{number}"))
    # Empty bodies would otherwise cost nothing, and never go.
    assert sum(cache.get(key(f"{number}")) is not None for number in range(5_000)) < 2_000


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 3_000))), st.integers(0, 12_000))
def test_the_budget_holds(steps: list[tuple[str, int]], budget_bytes: int) -> None:
    cache = BodyCache(budget_bytes, 1.0)
    for name, n_bytes in steps:
        cache.keep(key(name), body(name, n_bytes))
        kept = [(key(each), found) for each in "abcdef" if (found := cache.get(key(each)))]
        assert cache.used_bytes == sum(cost_bytes(*item) for item in kept) <= budget_bytes


def test_a_failure_is_remembered_for_a_moment() -> None:
    cache = BodyCache(1000, 1.0)
    assert cache.failure(key("a"), 5.0) is None
    cache.fail(key("a"), OriginMissing("gone"), 5.0)
    told = cache.failure(key("a"), 5.9)
    assert isinstance(told, OriginMissing)
    assert str(told) == "gone"
    # Each asker has his own: one raised twice would carry the first one's traceback.
    assert cache.failure(key("a"), 5.9) is not told
    assert cache.failure(key("a"), 6.0) is None


def test_a_success_ends_a_failure() -> None:
    cache = BodyCache(100_000, 1.0)
    cache.fail(key("a"), OriginError("x"), 5.0)
    cache.keep(key("a"), body("a"))
    assert cache.failure(key("a"), 5.0) is None


def test_failures_are_bounded() -> None:
    cache = BodyCache(1000, 60.0)
    for number in range(MAX_FAILURES + 1):
        cache.fail(key(f"{number}"), OriginError("x"), 0.0)
    assert cache.failure(key("0"), 0.0) is None
    assert cache.failure(key("1"), 0.0) is not None


def test_text_is_utf8() -> None:
    assert Fetched("http://h/a", "é".encode(), None, 0.0).text == "é"
    with pytest.raises(PlaylistError, match="byte 1"):
        _ = Fetched("http://h/a", b"a\xff", None, 0.0).text
