"""The demo's vendor: what it writes of a game, and when. It is as vendors are.

Everything is late, some of it by more than what follows it, so it comes out of order. Now and then a message comes
twice. A name is wrong and is put right seconds later, as a correction of data entry: without a time of its own. A goal
is taken back after review, as a reversal in the game: at the time of the verdict. Markets close when a goal may fall,
settle, and open again under new prices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lockstep.demo.game import (
    BREAK_FRAMES,
    CODES,
    HALF_FRAMES,
    MATCH_FRAMES,
    PLAYERS,
    RATE,
    SUSPENDED_FRAMES,
    Moment,
    What,
    clock,
    dice,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockstep.demo.game import Game

INTERVAL_S = 2
"""How often it promises to speak."""

PRICE_FRAMES = RATE
"""How often a market's odds move."""

TOTAL_LINE = 18

_SHOT_FRAMES = 10
"""The ball is in the air: who sits in the hall closes the markets."""

_MARGIN = 1.05
_TYPES = {
    What.START: "period", What.END: "period", What.ATTACK: "possession",
    What.REVIEW: "review", What.STANDS: "review", What.TAKEN_BACK: "review",
}  # fmt: skip
_DECISIONS = (What.STANDS, What.TAKEN_BACK)


@dataclass(frozen=True, slots=True, order=True)
class Message:
    """One webhook: when it is sent (a frame), its id, what it says."""

    due: int
    id: str
    items: tuple[dict[str, Any], ...] = field(compare=False)


class Vendor:
    """Write of a game.

    Args:
        game: the one that is played.
        kickoff_ms: when its frame 0 happened, Unix milliseconds.
    """

    def __init__(self, game: Game, kickoff_ms: int) -> None:
        self._game = game
        self._kickoff_ms = kickoff_ms

    def messages(self, first: int, end: int) -> list[Message]:
        """Return what it writes of the frames from `first` up to, not including, `end`, as it is sent."""
        written: list[Message] = []
        for moment in self._game.moments(first, end):
            written += self._of_moment(moment)
        # A shot is seen before it is a goal.
        for moment in self._game.moments(first + _SHOT_FRAMES, end + _SHOT_FRAMES):
            if moment.what is What.GOAL:
                written.append(self._suspend(moment.frame - _SHOT_FRAMES, "Possible goal"))
        for frame in range(first, end):
            if frame == 0 or (self._game.may_bet(frame) and not self._game.may_bet(frame - 1)):
                written.append(self.opening(frame))
            elif frame % PRICE_FRAMES == 0 and self._game.may_bet(frame):
                written.append(self._prices(frame))
        return sorted(written, key=lambda message: (message.due, message.id))

    def opening(self, frame: int) -> Message:
        """Return what it says of every market when bets are open, from a frame on."""
        facts = [
            self._fact(
                f"o{frame}-{mid}", "market", frame, market={"mid": mid, "st": "open", "spec": spec}, price={"out": out}
            )
            for mid, spec, out in self._markets(frame)
        ]
        return Message(frame + 8, f"open-{frame}", tuple(facts))

    def _of_moment(self, moment: Moment) -> Iterator[Message]:
        number, frame = moment.number, moment.frame
        fact = self._play(moment)
        lag = 14 + dice(number, 1) % 24
        if number % 6 == 5:
            # Longer than it takes until the next one.
            lag += 2 * RATE
        if moment.what in (What.SAVE, What.MISS) and number % 4 == 1:
            wrong = Moment(number, frame, moment.what, moment.side, (moment.player + 1) % 6, moment.score)
            yield Message(frame + lag, f"m{number}", (self._play(wrong),))
            # Without a time of its own: it stands where the first one stands.
            right = {**fact, "op": "amend"}
            del right["occurred_at"]
            yield Message(frame + lag + 5 * RATE, f"m{number}-2", (right,))
            return
        message = Message(frame + lag, f"m{number}", (fact,))
        yield message
        if number % 5 == 2:
            yield Message(message.due + RATE, message.id, message.items)
        if moment.what is What.TAKEN_BACK:
            goal = {"id": f"m{moment.about}", "op": "retract", "type": "play", "occurred_at": self._ms(frame)}
            yield Message(frame + lag + 2, f"m{number}-goal", (goal,))
        if moment.what is What.END:
            yield self._suspend(frame, "The half is over")
        yield from self._settlement(moment)

    def _settlement(self, moment: Moment) -> Iterator[Message]:
        """Settle who scored next, once it is certain."""
        reviewed = moment.what is What.GOAL and self._game.following(moment).what is What.REVIEW
        if moment.what is What.STANDS or (moment.what is What.GOAL and not reviewed):
            before = sum(moment.score) - 1
            won = ("home", "away")[moment.side]
            results = [{"oid": oid, "result": int(oid == won)} for oid in ("home", "away")]
            at = moment.frame + SUSPENDED_FRAMES // 2
            settle = {"mid": _next_goal(moment.frame, before), "results": results}
            yield Message(
                at + 10, f"settle-{moment.number}", (self._fact(f"s{moment.number}", "settle", at, settle=settle),)
            )

    def _play(self, moment: Moment) -> dict[str, Any]:
        half, _ = clock(moment.frame)
        within = moment.frame % MATCH_FRAMES - (half - 1) * (HALF_FRAMES + BREAK_FRAMES)
        body: dict[str, Any] = {
            "txt": moment.text,
            "what": str(moment.what),
            "team": CODES[moment.side],
            "players": [PLAYERS[moment.side][moment.player]],
            "clock": {
                "period": half,
                "ms": min(within, HALF_FRAMES) * 1000 // RATE,
                "dir": "up",
                "run": moment.what is not What.END,
            },
        }
        if moment.what in (What.START, What.END):
            body |= {"period": half}
            del body["team"], body["players"]
        if moment.what in (What.START, What.GOAL, *_DECISIONS):
            body["score"] = {"home": moment.score[0], "away": moment.score[1]}
        return self._fact(f"m{moment.number}", _TYPES.get(moment.what, "play"), moment.frame, **body)

    def _suspend(self, frame: int, why: str) -> Message:
        return Message(frame + 5, f"stop-{frame}", (self._fact(f"x{frame}", "suspend", frame, txt=why),))

    def _prices(self, frame: int) -> Message:
        facts = [
            self._fact(f"p{frame}-{mid}", "price", frame, price={"mid": mid, "out": out})
            for mid, _, out in self._markets(frame)
        ]
        return Message(frame + 6 + dice(frame) % 20, f"price-{frame}", tuple(facts))

    def _fact(self, id_: str, type_: str, frame: int, **body: Any) -> dict[str, Any]:
        # `frame` is what the picture says of itself: with it the page judges where the cue was put.
        return {"id": id_, "op": "new", "type": type_, "occurred_at": self._ms(frame), "body": {**body, "frame": frame}}

    def _ms(self, frame: int) -> int:
        return self._kickoff_ms + frame * 1000 // RATE

    def _markets(self, frame: int) -> list[tuple[str, str, list[dict[str, Any]]]]:
        """Return every market that is quoted: its id, its name, its odds."""
        moment = self._game.last(frame)
        home, away = moment.score
        left = 1 - (frame % MATCH_FRAMES) / MATCH_FRAMES
        drift = math.sin(frame / 190) * 0.35 + math.sin(frame / 47) * 0.12
        lead = (home - away + drift) / (0.7 + 3.2 * left)
        draw = 0.16 * math.exp(-lead * lead)
        home_wins = (1 - draw) / (1 + math.exp(-1.6 * lead))
        to_come = TOTAL_LINE + 0.5 - home - away - 19 * left + 0.4 * drift
        over = 1 / (1 + math.exp(to_come / (0.5 + 2.5 * left)))
        ball = 0.5 + (0.09 if moment.side == 0 else -0.09) + 0.03 * drift
        match = frame // MATCH_FRAMES
        return [
            (f"winner-{match}", "Full-time result", _out(home=home_wins, draw=draw, away=1 - draw - home_wins)),
            (_next_goal(frame, home + away), "Next goal", _out(home=ball, away=1 - ball)),
            (f"total-{match}", f"Total goals {TOTAL_LINE}.5", _out(over=over, under=1 - over)),
        ]


def _next_goal(frame: int, before: int) -> str:
    return f"next-{frame // MATCH_FRAMES}-{before}"


def _out(**chances: float) -> list[dict[str, Any]]:
    """Return odds in thousandths, with the book's margin; from 1.02 to 34."""
    return [
        {"oid": oid, "milli": min(34_000, max(1_020, round(100 / (max(chance, 0.001) * _MARGIN)) * 10))}
        for oid, chance in chances.items()
    ]
