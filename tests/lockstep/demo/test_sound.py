from __future__ import annotations

from lockstep.demo.game import Game, What
from lockstep.demo.sound import SAMPLES_A_FRAME, Sounds

GAME = Game(7)
SOUNDS = Sounds(GAME)


def test_a_goal_is_heard_on_its_frame() -> None:
    goal = next(moment for moment in GAME.moments(0, 9_000) if moment.what is What.GOAL)
    quiet, loud = (max(SOUNDS.of(goal.frame + at)) for at in (-1, 0))
    assert quiet < 0.01 < 0.1 < loud < 0.2
    assert max(SOUNDS.of(goal.frame + 10)) < 0.01


def test_each_frame_has_its_samples_and_they_join() -> None:
    for frame in (100, 110, 124, 125):
        one, other = SOUNDS.of(frame), SOUNDS.of(frame + 1)
        assert len(one) == SAMPLES_A_FRAME
        # A hum has no steps: two neighbours differ by little, across frames too.
        assert abs(one[-1] - other[0]) < 0.0005
