from __future__ import annotations

import itertools
import math

from lockstep.demo.game import HALF_FRAMES, Game, What
from lockstep.demo.scene import LENGTH, WIDTH, Cut, goal_of, scene

GAME = Game(7)


def test_everybody_is_on_the_court_and_nobody_jumps() -> None:
    scenes = [scene(GAME, frame) for frame in range(3_000)]
    for seen in scenes:
        for x, y in (*seen.teams[0], *seen.teams[1]):
            assert -0.5 <= x <= LENGTH + 0.5
            assert -0.5 <= y <= WIDTH + 0.5
    for one, other in itertools.pairwise(scenes[60:]):
        for before, after in zip(one.teams[0] + one.teams[1], other.teams[0] + other.teams[1], strict=True):
            assert math.dist(before, after) < 1.6


def test_a_goal_is_in_the_goal_on_its_frame() -> None:
    goals = [moment for moment in GAME.moments(0, HALF_FRAMES) if moment.what is What.GOAL]
    assert len(goals) > 4
    for goal in goals:
        x, y = scene(GAME, goal.frame).ball
        assert abs(x - goal_of(goal.side, goal.frame)) < 1
        assert 8 < y < 12
        assert scene(GAME, goal.frame - 30).ball != (x, y)


def test_the_camera_goes_where_something_happens() -> None:
    cuts = {scene(GAME, frame).cut for frame in range(0, HALF_FRAMES + 100, 5)}
    assert cuts == set(Cut)


def test_ends_change_behind_the_half() -> None:
    assert goal_of(0, 0) == LENGTH
    assert goal_of(0, HALF_FRAMES + 400) == 0
    assert goal_of(1, 0) == 0
