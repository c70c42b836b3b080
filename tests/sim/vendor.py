"""Vendors, by seed: what they say, and when. They post through the real webhook until they are told 2xx."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from feeds.standard_webhooks import sign
from tests.sim.http_client import request
from tests.sim.loop import WHO

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

SECRET = b"0123456789abcdef0123456789abcdef"
RETRY_S = 0.7
INTERVAL_S = 2.5
MARKETS = ("m1", "m2", "m3")


@dataclass
class Word:
    """One message: when it is sent (wall), by whom, and what it says."""

    at: float
    source: str
    items: list[dict[str, Any]]
    number: int = 0
    is_repeat: bool = False


@dataclass
class Said:
    """What is true of a fact in the end: its newest word, and whether that took it back."""

    rev: int
    op: str
    body: dict[str, Any]


@dataclass
class Script:
    """All that the vendors of one showing will say, and what is true in the end."""

    words: list[Word] = field(default_factory=list)
    truth: dict[str, Said] = field(default_factory=dict)
    occurred: dict[str, float] = field(default_factory=dict)
    """When a fact that keeps its time really happened."""
    silences: dict[str, tuple[float, float]] = field(default_factory=dict)
    skew_s: float = 0.0


def write(
    dice: random.Random, begins: float, ends: float, *, lag_s: float, skew_s: float, quiet: bool = False,
    silence: tuple[float, float] | None = None, corrected: float = 0.35,
) -> Script:  # fmt: skip
    """Invent a game between two wall times.

    Args:
        dice: invents.
        begins: when the first thing happens.
        ends: when the last one does.
        lag_s: how long the vendors take in general.
        skew_s: how far their clocks are ahead.
        quiet: whether one of them falls silent for a while.
        silence: from when until when the one who tells plays and goals says nothing.
        corrected: how likely what was told is corrected, and corrected again.
    """
    script = Script(skew_s=skew_s)
    if quiet:
        source = dice.choice(["stats", "odds"])
        since = dice.uniform(begins + 2, max(begins + 3, ends - 4))
        script.silences[source] = (since, since + dice.uniform(5, 9))
    if silence is not None:
        script.silences["stats"] = silence
    writer = _Writer(script, dice, lag_s, ends, corrected)
    at, goals, number = begins, [0, 0], 0
    while at < ends:
        number += 1
        kind = dice.random()
        if kind < 0.45:
            writer.play(number, at)
        elif kind < 0.6:
            goals[dice.randrange(2)] += 1
            writer.score(number, at, list(goals))
        elif kind < 0.7:
            writer.suspend(number, at)
        else:
            writer.price(number, at)
        at += dice.expovariate(4.0)
    for mid in MARKETS:
        writer.open(mid, begins - dice.uniform(0, 2), f"{mid}-first")
    writer.beats(begins - 3, ends)
    script.words.sort(key=lambda word: word.at)
    for index, word in enumerate(script.words):
        word.number = index
    return script


def write_afterwards(dice: random.Random, begins: float, ends: float, *, told_from: float, told_until: float) -> Script:
    """Invent a game that is long over, told in any order between two wall times."""
    script = Script()
    writer = _Writer(script, dice, 0.0, ends)
    at, goals, number = begins, [0, 0], 0
    while at < ends:
        number += 1
        if dice.random() < 0.7:
            writer.play(number, at)
        else:
            goals[dice.randrange(2)] += 1
            writer.score(number, at, list(goals))
        at += dice.expovariate(3.0)
    for word in script.words:
        word.at = dice.uniform(told_from, told_until)
    writer.beats(told_from - 3, told_until)
    script.words.sort(key=lambda word: word.at)
    for index, word in enumerate(script.words):
        word.number = index
    return script


class _Writer:
    def __init__(self, script: Script, dice: random.Random, lag_s: float, ends: float, corrected: float = 0.35) -> None:
        self._script = script
        self._dice = dice
        self._lag_s = lag_s
        self._ends = ends
        self._corrected = corrected

    def play(self, number: int, at: float) -> None:
        """Tell a play, perhaps corrected, taken back or confirmed."""
        dice, id_ = self._dice, f"p{number}"
        source = "quant" if dice.random() < 0.1 else "stats"
        body = {"txt": f"play {number}", "team": dice.choice("ab")}
        self._tell(source, id_, 1, "new", "play", at, at, body)
        self._script.occurred[f"{source}:{id_}"] = at
        self._aftermath(source, id_, "play", at, {"txt": f"play {number} corrected"})

    def score(self, number: int, at: float, goals: list[int]) -> None:
        """Tell a goal, perhaps taken back after review; a market closes for a while."""
        body = {"score": {"home": goals[0], "away": goals[1]}}
        self._tell("stats", f"s{number}", 1, "new", "score", at, at, body)
        self._script.occurred[f"stats:s{number}"] = at
        self._aftermath("stats", f"s{number}", "score", at, {"score": {"home": goals[0], "away": goals[1] + 1}})
        self.suspend(number, at)

    def suspend(self, number: int, at: float) -> None:
        """Suspend a market, and open it again."""
        dice = self._dice
        mid = dice.choice(MARKETS)
        body = {"market": {"mid": mid}} if dice.random() < 0.7 else {}
        self._tell("odds", f"x{number}", None, "new", "suspend", at, at, body, lag_s=self._lag_s / 3)
        self.open(mid, at + dice.uniform(1.0, 4.0), str(number))

    def open(self, mid: str, at: float, name: str) -> None:
        """Open a market, with prices."""
        out = [{"oid": "1", "milli": self._dice.randrange(1_100, 3_000)}, {"oid": "2", "milli": 1_900}]
        body = {"market": {"mid": mid, "st": "open"}, "price": {"out": out}}
        self._tell("odds", f"o{name}", None, "new", "market", at, at, body)

    def price(self, number: int, at: float) -> None:
        """Several prices change at once, some of the same market."""
        items = []
        for n in range(self._dice.randrange(2, 12)):
            out = [{"oid": "1", "milli": self._dice.randrange(1_100, 3_000)}]
            when = at + 0.02 * n
            body = {"price": {"mid": self._dice.choice(MARKETS), "out": out}}
            items.append(self._item(f"q{number}-{n}", None, "new", "price", when, body))
        self._script.words.append(Word(at + self._lag(self._lag_s), "odds", items))

    def beats(self, begins: float, ends: float) -> None:
        """Give signs of life, but for a silence."""
        for source in ("stats", "odds"):
            at = begins
            while at < ends + 80:
                self._script.words.append(Word(at, source, [{"type": "alive", "interval_s": INTERVAL_S}]))
                at += INTERVAL_S * 0.45
        for source, (since, until) in self._script.silences.items():
            kept = [word for word in self._script.words if word.source != source or not since <= word.at < until]
            # What happened meanwhile is told when the source is back.
            late = [word for word in self._script.words if word.source == source and since <= word.at < until]
            facts = [item for word in late for item in word.items if item["type"] != "alive"]
            self._script.words = kept
            if facts:
                self._script.words.append(Word(until + 0.05, source, facts))

    def _aftermath(self, source: str, id_: str, type_: str, at: float, body: dict[str, Any]) -> None:
        dice = self._dice
        rev, later = 1, at
        while dice.random() < self._corrected:
            rev, later = rev + 1, later + dice.uniform(0.3, 4.0)
            if later > self._ends:
                return
            kind = dice.random()
            # A correction of data entry names no time, or the original's; a reversal in the game its own.
            when = [None, at, later][dice.randrange(3)]
            if when == later:
                self._script.occurred.pop(f"{source}:{id_}", None)
            if kind < 0.5:
                self._tell(source, id_, rev, "amend", type_, later, when, {**body, "n": rev})
            elif kind < 0.8:
                self._tell(source, id_, rev, "retract", type_, later, when, {})
                return
            else:
                self._tell(source, id_, rev, "confirm", type_, later, when, {})

    def _tell(
        self, source: str, id_: str, rev: int | None, op: str, type_: str, at: float, when: float | None,
        body: dict[str, Any], *, lag_s: float | None = None,
    ) -> None:  # fmt: skip
        item = self._item(id_, rev, op, type_, when, body)
        if rev is not None:
            was = self._script.truth.get(f"{source}:{id_}")
            if was is None or rev > was.rev:
                told = was.body if op == "confirm" and was else body
                self._script.truth[f"{source}:{id_}"] = Said(rev, op, told)
        lag_s = self._lag(self._lag_s if lag_s is None else lag_s)
        self._script.words.append(Word(at + lag_s, source, [item]))
        if self._dice.random() < 0.08:
            # Once more under an id of its own: its facts are what tells that it is the same.
            again = Word(at + lag_s + self._dice.uniform(0, 2), source, [item], is_repeat=True)
            self._script.words.append(again)

    def _lag(self, usual_s: float) -> float:
        return usual_s * self._dice.uniform(0.3, 1.5) + (
            self._dice.uniform(2, 8) if self._dice.random() < 0.06 else 0.0
        )

    def _item(
        self, id_: str, rev: int | None, op: str, type_: str, when: float | None, body: dict[str, Any]
    ) -> dict[str, Any]:
        item: dict[str, Any] = {"id": id_, "op": op, "type": type_, "body": body}
        if rev is not None:
            item["rev"] = rev
        if when is not None:
            stamp = datetime.fromtimestamp(round(when + self._script.skew_s, 3), UTC)
            item["occurred_at"] = stamp.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return item


class Vendors:
    """Send a script. `acknowledged` holds the numbers of the words that were taken in."""

    def __init__(
        self, showing: str, script: Script, dice: random.Random, wall: Callable[[], float], taken_at: dict[str, float]
    ) -> None:
        self.showing = showing
        self.script = script
        self.acknowledged: set[int] = set()
        self.sent_at: dict[str, float] = {}
        """When a source last tried to say something, by wall time."""
        self._dice = dice
        self._wall = wall
        self._taken_at = taken_at

    async def run(self) -> None:
        """Send everything in its time, each message by itself: the later one may overtake."""
        WHO.set(f"vendor-{self.showing}")
        async with asyncio.TaskGroup() as group:
            for word in self.script.words:
                await asyncio.sleep(max(0.0, word.at - self._wall()))
                group.create_task(self._post(word))

    async def _post(self, word: Word) -> None:
        source = f"{self.showing}-{word.source}"
        body = json.dumps(word.items if len(word.items) > 1 else word.items[0]).encode()
        id_ = f"{self.showing}-{word.number}"
        is_alive = word.items[0]["type"] == "alive"
        while True:
            self.sent_at[source] = self._wall()
            stamp = int(self._wall())
            headers = {
                "webhook-id": id_, "webhook-timestamp": str(stamp),
                "webhook-signature": sign(SECRET, id_, stamp, body), "Content-Type": "application/json",
            }  # fmt: skip
            try:
                reply = await request("POST", f"/api/v1/feeds/{source}", headers=headers, body=body)
            except (OSError, TimeoutError):
                reply = None
            if reply is not None and reply.status in (200, 202):
                self.acknowledged.add(word.number)
                for item in word.items:
                    if item.get("rev") == 1:
                        self._taken_at.setdefault(f"{source}:{item['id']}", asyncio.get_running_loop().time())
                if self._dice.random() > 0.04:
                    return
            elif reply is not None and reply.status not in (503, 400, 408):
                raise AssertionError(f"a vendor was answered {reply.status}: {reply.body[:200]!r}")
            if is_alive:
                return  # the next one will do
            await asyncio.sleep(RETRY_S * self._dice.uniform(0.5, 1.5))
