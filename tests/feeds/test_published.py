from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.published import MAX_SEGMENTS, Published, Wall

T0 = 1_700_000_000.684
SEGMENT = 180_000


def told(*walls: float) -> Published:
    published = Published()
    for index, wall in enumerate(walls):
        published.add(index * SEGMENT, Wall(wall, 1.0, "pdt"))
    return published


def test_nothing_published_tells_nothing() -> None:
    published = Published()
    assert (len(published), published.last, published.wall_at(0), published.pts_at(T0)) == (0, None, None, None)
    assert not published.has(0)


def test_what_was_published_stands_and_goes_on_at_rate_one() -> None:
    published = told(T0, T0 + 2.013)
    assert published.wall_at(0) == Wall(T0, 1.0, "pdt")
    assert published.wall_at(SEGMENT) == Wall(T0 + 2.013, 1.0, "pdt")
    assert published.wall_at(2 * SEGMENT) == Wall(T0 + 4.013, 1.0, "pdt")
    assert published.wall_at(-90_000) == Wall(T0 - 1, 1.0, "pdt")
    assert (len(published), published.last, published.has(SEGMENT)) == (2, (SEGMENT, T0 + 2.013), True)


def test_a_gap_in_the_picture_is_due_at_the_next_picture() -> None:
    published = told(T0, T0 + 12)
    asked = [T0 - 1, T0 + 1, T0 + 7, T0 + 13]
    assert [published.pts_at(wall) for wall in asked] == [-90_000, 90_000, SEGMENT, SEGMENT + 90_000]


def test_what_comes_too_soon_is_moved_and_says_so() -> None:
    published = told(T0, T0 - 1)
    found = published.wall_at(SEGMENT)
    assert found is not None
    assert found.wall == T0 + 0.25
    assert found.sigma_ms == pytest.approx(1250, abs=0.01)
    half = published.wall_at(SEGMENT // 2)
    assert half is not None
    assert published.pts_at(half.wall) == SEGMENT // 2


def test_older_ones_fit_in_before_what_was_said() -> None:
    published = told(T0)
    published.add(-SEGMENT, Wall(T0 + 5, 1.0, "pdt"))
    found = published.wall_at(-SEGMENT)
    assert found is not None
    assert found.wall == T0 - 0.25


def test_memory_is_bounded() -> None:
    published = told(*(T0 + 2 * index + (0.2 if index == 0 else 0.0) for index in range(MAX_SEGMENTS + 2)))
    assert len(published) == MAX_SEGMENTS
    found = published.wall_at(0)
    assert found is not None
    assert found.wall == T0  # its own is forgotten: from the oldest that is left


@given(
    steps_ms=st.lists(st.integers(-5000, 9000), min_size=1, max_size=20),
    order=st.randoms(use_true_random=False),
    asked=st.lists(st.integers(-SEGMENT, 25 * SEGMENT), min_size=2, max_size=20, unique=True),
)
def test_wall_time_rises_strictly_and_has_an_inverse(steps_ms: list[int], order: object, asked: list[int]) -> None:
    """Invariant I16, whatever is to be published, in any order."""
    assert hasattr(order, "shuffle")
    at, walls = T0, []
    for step in steps_ms:
        walls.append(at)
        at += step / 1000
    numbered = list(enumerate(walls))
    order.shuffle(numbered)
    published = Published()
    for index, wall in numbered:
        published.add(index * SEGMENT, Wall(wall, 1.0, "pdt"))
    points = sorted({*asked, *(pts + 1 for pts in asked)})
    found = [one.wall for pts in points if (one := published.wall_at(pts)) is not None]
    assert all(earlier < later for earlier, later in pairwise(found))
    assert [published.pts_at(wall) for wall in found] == points
