from __future__ import annotations

import itertools

import pytest

from lockstep.demo.game import HALF_FRAMES, MATCH_FRAMES, RATE, SUSPENDED_FRAMES, Game, What, clock, clock_text, dice

GAME = Game(7)


def test_everybody_who_knows_the_seed_knows_the_game() -> None:
    assert Game(7).moments(0, 9_000) == GAME.moments(0, 9_000)
    assert Game(8).moments(0, 9_000) != GAME.moments(0, 9_000)
    other = Game(7)
    other.last(50_000)
    assert other.moments(1_000, 4_000) == GAME.moments(1_000, 4_000)


def test_moments_follow_one_another_and_are_numbered() -> None:
    moments = GAME.moments(0, 3 * MATCH_FRAMES)
    assert [moment.number for moment in moments] == list(range(len(moments)))
    assert all(one.frame < other.frame for one, other in itertools.pairwise(moments))
    assert moments[0].what is What.START
    assert GAME.moment(40) == moments[40]
    assert GAME.following(moments[40]) == moments[41]
    assert GAME.before(moments[40].frame, 3) == moments[38:41]
    assert GAME.last(moments[41].frame - 1) == moments[40]


def test_the_score_is_what_the_goals_come_to() -> None:
    home = away = 0
    for moment in GAME.moments(0, MATCH_FRAMES):
        if moment.what is What.GOAL:
            home, away = home + (moment.side == 0), away + (moment.side == 1)
        elif moment.what is What.TAKEN_BACK:
            home, away = home - (moment.side == 0), away - (moment.side == 1)
        assert moment.score == (home, away)
    assert home + away > 10
    assert GAME.last(MATCH_FRAMES).score == (0, 0)


def test_a_goal_is_taken_back_within_the_first_minute_and_some_stand() -> None:
    decisions = [one for one in GAME.moments(0, MATCH_FRAMES) if one.what in (What.STANDS, What.TAKEN_BACK)]
    assert decisions[0].what is What.TAKEN_BACK
    assert decisions[0].frame < 70 * RATE
    assert {one.what for one in decisions} == {What.STANDS, What.TAKEN_BACK}
    for decision in decisions:
        assert decision.about is not None
        assert GAME.moment(decision.about).what is What.GOAL


def test_bets_are_closed_from_a_goal_until_it_is_certain() -> None:
    goals = [one for one in GAME.moments(0, MATCH_FRAMES) if one.what is What.GOAL]
    for goal in goals:
        certain = goal
        if GAME.following(goal).what is What.REVIEW:
            certain = GAME.following(GAME.following(goal))
        opens = certain.frame + SUSPENDED_FRAMES
        assert GAME.may_bet(goal.frame - 1)
        assert not any(GAME.may_bet(frame) for frame in range(goal.frame, opens))
        assert GAME.may_bet(opens)
    assert not GAME.may_bet(HALF_FRAMES + 5)
    assert GAME.may_bet(MATCH_FRAMES)


@pytest.mark.parametrize(
    ("frame", "half", "text"),
    [(0, 1, "00:00"), (RATE * 61, 1, "01:01"), (HALF_FRAMES + 9, 1, "10:00"), (MATCH_FRAMES // 2 + RATE, 2, "00:01"),
     (MATCH_FRAMES, 1, "00:00")],
)  # fmt: skip
def test_the_clock_stands_in_the_breaks(frame: int, half: int, text: str) -> None:
    assert clock(frame)[0] == half
    assert clock_text(frame) == text


def test_every_moment_can_be_told() -> None:
    told = {moment.what: moment.text for moment in GAME.moments(0, MATCH_FRAMES)}
    assert set(told) == set(What)
    assert all(told.values())
    assert told[What.END].startswith("Full time")


def test_dice_fall_evenly() -> None:
    thrown = [dice(7, number) for number in range(6_000)]
    assert len(set(thrown)) > 5_990
    assert all(800 < sum(value % 6 == side for value in thrown) < 1_200 for side in range(6))
