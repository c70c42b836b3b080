from __future__ import annotations

import random

import pytest

from feeds.anchors import MIN_SEEN, AnchorChoice


def choose(
    anchor: str, segments: int = 40, *, jitter_s: float = 0.0, seed: int = 1
) -> tuple[AnchorChoice, list[float]]:
    """Show it dates that belong to one of the anchors; audio begins up to 21 ms before or 10 ms after the video."""
    rng = random.Random(seed)
    choice, moved = AnchorChoice(), []
    for _ in range(segments):
        after_s = rng.uniform(-0.021, 0.010)
        of = {"video": 0.0, "audio": after_s, "lowest": min(0.0, after_s)}[anchor]
        moved.append(choice.observe(round(7.0 + of + rng.uniform(-jitter_s, jitter_s), 3), after_s))
    return choice, moved


@pytest.mark.parametrize("anchor", ["video", "audio", "lowest"])
def test_the_one_that_leaves_least_is_chosen(anchor: str) -> None:
    choice, moved = choose(anchor)
    assert choice.chosen == anchor
    # It changes once at most, and not before there is something to judge by.
    assert sum(bool(by) for by in moved) == (anchor != "video")
    assert not any(moved[: MIN_SEEN - 1])


def test_the_change_is_told_so_that_nothing_steps() -> None:
    choice, moved = choose("audio")
    # Audio began 5.5 ms before the video on average, so dates of the audio are that much later for the video.
    assert sum(moved) == pytest.approx(0.0055, abs=0.004)
    assert choice.after_s(-0.010) == -0.010


def test_dates_that_scatter_by_more_than_anchors_differ_decide_nothing() -> None:
    for anchor in ("audio", "lowest"):
        assert choose(anchor, 200, jitter_s=0.1)[0].chosen == "video"


def test_where_there_is_no_sound_the_picture_counts() -> None:
    choice, _ = choose("audio", MIN_SEEN - 1)
    choice.observe(7.0, None)
    assert choice.observe(7.0, 0.005) == 0.0
    assert choice.chosen == "video"
    assert choice.after_s(None) == 0.0


def test_one_wrong_date_decides_nothing() -> None:
    choice = AnchorChoice()
    for index in range(40):
        choice.observe(7.0 + (3.0 if index == 20 else 0.0), 0.005 if index % 2 else -0.005)
    assert choice.chosen == "video"
