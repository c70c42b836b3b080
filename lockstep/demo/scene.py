"""Where everybody is on a frame: fourteen players and a ball, in metres of a court of 40 by 20.

Nothing is kept from one frame to the next: each is worked out from the game alone, so an encoder may begin anywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from lockstep.demo.game import RATE, Moment, What, clock, dice

if TYPE_CHECKING:
    from lockstep.demo.game import Game

LENGTH, WIDTH = 40.0, 20.0

# Six in the field and the keeper, in metres from the goal that is attacked, and across.
_ATTACK = ((7.5, 10.0), (11.5, 6.0), (12.5, 10.0), (11.5, 14.0), (5.5, 1.8), (5.5, 18.2), (37.0, 10.0))
_DEFENCE = ((7.6, 8.4), (7.6, 11.6), (7.0, 5.4), (7.0, 14.6), (4.6, 2.8), (4.6, 17.2), (1.2, 10.0))

_RUN_FRAMES = 45
_PASS_FRAMES = 22
_FLIGHT_FRAMES = 12


class Cut(StrEnum):
    """What the camera shows."""

    COURT = "court"
    GOAL = "goal"
    REVIEW = "review"
    BREAK = "break"


Spot = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Scene:
    """One frame: which camera, both teams, the ball, the newest moment."""

    cut: Cut
    teams: tuple[tuple[Spot, ...], tuple[Spot, ...]]
    ball: Spot
    moment: Moment


def scene(game: Game, frame: int) -> Scene:
    """Return the scene of a frame, from 0 on."""
    moment = game.last(frame)
    recent = game.before(frame, 8)
    attacks = [one for one in recent if one.what is What.ATTACK]
    if not attacks:
        teams = (_line_up(0, frame), _line_up(1, frame))
        return Scene(_cut(moment, frame), teams, (LENGTH / 2, WIDTH / 2), moment)
    attack = attacks[-1]
    share = _eased((frame - attack.frame) / _RUN_FRAMES)
    # Ends change behind each half, and with them the way.
    before = attacks[-2].side if len(attacks) > 1 else 1 - attack.side
    teams = (_team(0, attack.side, before, share, frame), _team(1, attack.side, before, share, frame))
    return Scene(_cut(moment, frame), teams, _ball(game, attack, teams, frame), moment)


def goal_of(side: int, frame: int) -> float:
    """Return where the goal lies that a side attacks, in metres along the court."""
    half, _ = clock(frame)
    return LENGTH if (side == 0) == (half == 1) else 0.0


def _cut(moment: Moment, frame: int) -> Cut:
    since = frame - moment.frame
    if moment.what is What.GOAL and since >= RATE:
        return Cut.GOAL
    if moment.what is What.REVIEW and since >= RATE // 2:
        return Cut.REVIEW
    if moment.what in (What.STANDS, What.TAKEN_BACK) and since < 3 * RATE:
        return Cut.REVIEW
    return Cut.BREAK if moment.what is What.END else Cut.COURT


def _eased(share: float) -> float:
    share = min(1.0, max(0.0, share))
    return share * share * (3 - 2 * share)


def _spot(side: int, player: int, attacking: int, frame: int) -> Spot:
    depth, across = (_ATTACK if side == attacking else _DEFENCE)[player]
    goal = goal_of(attacking, frame)
    return (goal - depth if goal else depth, across)


def _team(side: int, attacking: int, before: int, share: float, frame: int) -> tuple[Spot, ...]:
    spots = []
    for player in range(7):
        (x0, y0), (x1, y1) = _spot(side, player, before, frame), _spot(side, player, attacking, frame)
        turn = frame / 18 + 2.1 * player + side
        reach = 0.25 if player == 6 else 0.9
        spots.append((x0 + (x1 - x0) * share + reach * math.cos(turn), y0 + (y1 - y0) * share + reach * math.sin(turn)))
    return tuple(spots)


def _line_up(side: int, frame: int) -> tuple[Spot, ...]:
    own = LENGTH - goal_of(side, frame)
    inward = 1 if own == 0 else -1
    return tuple(
        (own + inward * (4 + 13 * (player < 6)), 2.5 + 3 * player if player < 6 else WIDTH / 2) for player in range(7)
    )


def _ball(game: Game, attack: Moment, teams: tuple[tuple[Spot, ...], ...], frame: int) -> Spot:
    outcome = attack
    while outcome.what in (What.ATTACK, What.PASS):
        outcome = game.following(outcome)
    carriers = teams[attack.side]
    at = outcome.frame - _FLIGHT_FRAMES
    if frame < at:
        # From hand to hand: who has it changes every second or so.
        turn, within = divmod(frame - attack.frame, _PASS_FRAMES)
        holder, receiver = (_carrier(attack, turn, outcome, at), _carrier(attack, turn + 1, outcome, at))
        return _between(carriers[holder], carriers[receiver], _eased((within - 10) / 12))
    goal = goal_of(attack.side, frame)
    into = 1 if goal else -1
    target = {
        What.GOAL: (goal + 0.6 * into, 10 + (dice(outcome.number) % 5 - 2) * 0.5),
        What.SAVE: (goal - 1.4 * into, 10.0),
        What.MISS: (goal + 0.8 * into, 5.0 if outcome.number % 2 else 15.0),
        What.STEAL: teams[1 - attack.side][outcome.player % 6],
    }.get(outcome.what, (LENGTH / 2, WIDTH / 2))
    return _between(carriers[outcome.player % 6], target, (frame - at) / _FLIGHT_FRAMES)


def _carrier(attack: Moment, turn: int, outcome: Moment, at: int) -> int:
    # The last one to have it is the one who shoots.
    if attack.frame + (turn + 1) * _PASS_FRAMES > at:
        return outcome.player % 6
    return attack.player if turn == 0 else dice(attack.number, turn) % 6


def _between(start: Spot, end: Spot, share: float) -> Spot:
    share = min(1.0, max(0.0, share))
    return (start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share)
