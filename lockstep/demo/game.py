"""A game of handball that never ends, the same for everyone who knows its seed: what happens on which frame.

Encoder and vendor are apart and never speak to each other; both ask here. Frames are counted from the first kick-off,
25 a second. A match has two halves of ten minutes with a break behind each; then the next one begins.

Every sixth attack or so ends in a goal, every third goal is looked at again, and some of those are taken back.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

RATE = 25
"""Pictures a second."""

HALF_FRAMES = 10 * 60 * RATE
BREAK_FRAMES = 15 * RATE
MATCH_FRAMES = 2 * (HALF_FRAMES + BREAK_FRAMES)

TEAMS = ("Northgate", "Lakeside")
CODES = ("NOR", "LAK")
PLAYERS = (
    ("Lindqvist", "Amaro", "Brandt", "Okafor", "Sorensen", "Vidal", "Keller"),
    ("Novak", "Reyes", "Dupont", "Haddad", "Moreau", "Silva", "Jansen"),
)
"""The last of each is the keeper."""

SUSPENDED_FRAMES = 5 * RATE
"""How long bets stay closed behind a goal, or behind the decision on it."""

REVIEW_FRAMES = 9 * RATE
"""From the goal to the decision on it."""

_CELEBRATION_FRAMES = 5 * RATE


class What(StrEnum):
    """Kinds of moments."""

    START = "start"
    ATTACK = "attack"
    PASS = "pass"  # noqa: S105 - of a ball
    SAVE = "save"
    MISS = "miss"
    STEAL = "steal"
    GOAL = "goal"
    REVIEW = "review"
    STANDS = "stands"
    TAKEN_BACK = "taken back"
    END = "end"


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happens on one frame.

    `side` is 0 for the home team, `player` an index into its players. `score` is what stands from this frame on.
    `about` is the number of the moment that a decision is about. `number` counts moments from 0.
    """

    number: int
    frame: int
    what: What
    side: int
    player: int
    score: tuple[int, int]
    about: int | None = None

    @property
    def text(self) -> str:
        """Return it as a commentator would say it."""
        team, player = TEAMS[self.side], PLAYERS[self.side][self.player]
        home, away = self.score
        return {
            What.START: f"{'Second' if clock(self.frame)[0] == 2 else 'First'} half begins",
            What.ATTACK: f"{player} brings the ball forward for {team}",
            What.PASS: f"{player} looks for a gap",
            What.SAVE: f"{player} shoots, the keeper saves",
            What.MISS: f"{player} shoots wide",
            What.STEAL: f"{team} lose the ball",
            What.GOAL: f"Goal! {player} scores for {team}, {home}:{away}",
            What.REVIEW: f"Video review: was {player} inside the area?",
            What.STANDS: f"The goal by {player} stands, {home}:{away}",
            What.TAKEN_BACK: f"No goal: {player} was inside the area, {home}:{away}",
            What.END: f"{'Full' if clock(self.frame)[0] == 2 else 'Half'} time, {home}:{away}",
        }[self.what]


def dice(*parts: int) -> int:
    """Return 32 bits that look random and depend on the numbers alone: the finish of MurmurHash3 over each of them."""
    mixed = 0x9E3779B9
    for part in parts:
        mixed = (mixed ^ part) & 0xFFFFFFFF
        mixed = (mixed ^ mixed >> 16) * 0x85EBCA6B & 0xFFFFFFFF
        mixed = (mixed ^ mixed >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
        mixed ^= mixed >> 16
    return mixed


def clock(frame: int) -> tuple[int, int]:
    """Return the half, 1 or 2, and how many seconds of it have been played, 0 to 600."""
    half, within = divmod(frame % MATCH_FRAMES, HALF_FRAMES + BREAK_FRAMES)
    return half + 1, min(within, HALF_FRAMES) // RATE


def clock_text(frame: int) -> str:
    """Return the clock as it is shown: minutes and seconds of the half."""
    _, seconds = clock(frame)
    return f"{seconds // 60:02}:{seconds % 60:02}"


class Game:
    """The moments of a game, worked out as far as somebody asks.

    Args:
        seed: any integer; the same one gives the same game.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._moments: list[Moment] = []
        self._frames: list[int] = []
        self._play = self._played()

    def moments(self, first: int, end: int) -> list[Moment]:
        """Return what happens from frame `first` up to, not including, frame `end`."""
        self._work_out(end)
        return self._moments[bisect_right(self._frames, first - 1) : bisect_right(self._frames, end - 1)]

    def last(self, frame: int) -> Moment:
        """Return the newest moment at a frame from 0 on; there is one on the first."""
        self._work_out(frame + 1)
        return self._moments[bisect_right(self._frames, frame) - 1]

    def before(self, frame: int, count: int) -> list[Moment]:
        """Return the last `count` moments at a frame, the newest last."""
        self._work_out(frame + 1)
        index = bisect_right(self._frames, frame)
        return self._moments[max(0, index - count) : index]

    def following(self, moment: Moment) -> Moment:
        """Return the moment behind another."""
        while len(self._moments) <= moment.number + 1:
            self._add()
        return self._moments[moment.number + 1]

    def moment(self, number: int) -> Moment:
        """Return a moment by its number, from 0."""
        while len(self._moments) <= number:
            self._add()
        return self._moments[number]

    def may_bet(self, frame: int) -> bool:
        """Return whether bets are open: the ball is in play, and no goal is fresh or in doubt."""
        for moment in reversed(self.before(frame, 4)):
            if moment.what in (What.START, What.END):
                return moment.what is What.START
            if moment.what in (What.GOAL, What.STANDS, What.TAKEN_BACK):
                in_doubt = moment.what is What.GOAL and self.following(moment).what is What.REVIEW
                return not in_doubt and frame >= moment.frame + SUSPENDED_FRAMES
            if moment.what is What.REVIEW:
                return False
        return True

    def _work_out(self, end: int) -> None:
        while not self._frames or self._frames[-1] < end:
            self._add()

    def _add(self) -> None:
        moment = next(self._play)
        self._moments.append(moment)
        self._frames.append(moment.frame)

    def _played(self) -> Iterator[Moment]:
        number = goals = 0
        score = (0, 0)
        for half in range(1 << 30):
            start = half * (HALF_FRAMES + BREAK_FRAMES)
            if half % 2 == 0:
                score = (0, 0)
            for moment in self._half(half, start, score, number, goals):
                yield moment
                number, score = moment.number + 1, moment.score
                goals += moment.what is What.GOAL

    def _half(self, half: int, start: int, score: tuple[int, int], number: int, goals: int) -> Iterator[Moment]:
        end, frame, side, since_goal = start + HALF_FRAMES, start, half % 2, 0
        yield Moment(number, start, What.START, side, 0, score)
        while True:
            frame, number = frame + 2 * RATE, number + 1
            thrown = dice(self._seed, half, number)
            outcome_at = frame + 4 * RATE + thrown % (3 * RATE)
            if outcome_at + REVIEW_FRAMES + _CELEBRATION_FRAMES > end:
                break
            player = (thrown >> 8) % 6
            yield Moment(number, frame, What.ATTACK, side, player, score)
            number += 1
            yield Moment(
                number, (frame + outcome_at) // 2, What.PASS, side, (player + 1 + (thrown >> 12) % 5) % 6, score
            )
            number += 1
            since_goal += 1
            if since_goal < 5 + (thrown >> 20) % 2:
                what = (What.SAVE, What.MISS, What.STEAL)[(thrown >> 16) % 3]
                yield Moment(number, outcome_at, what, side, (thrown >> 24) % 6, score)
                frame = outcome_at
            else:
                since_goal = 0
                for moment in self._goal(number, outcome_at, side, (thrown >> 24) % 6, score, goals):
                    yield moment
                    number, score, frame = moment.number, moment.score, moment.frame + _CELEBRATION_FRAMES
                goals += 1
            side = 1 - side
        yield Moment(number, end, What.END, side, 0, score)

    def _goal(
        self, number: int, frame: int, side: int, player: int, score: tuple[int, int], goals: int
    ) -> Iterator[Moment]:
        home, away = score
        after = (home + 1, away) if side == 0 else (home, away + 1)
        yield Moment(number, frame, What.GOAL, side, player, after)
        # The very first one, so that nobody has to wait for it.
        if goals % 3 == 0:
            yield Moment(number + 1, frame + 3 * RATE, What.REVIEW, side, player, after, number)
            stands = goals % 6 == 3
            what, final = (What.STANDS, after) if stands else (What.TAKEN_BACK, score)
            yield Moment(number + 2, frame + REVIEW_FRAMES, what, side, player, final, number)
