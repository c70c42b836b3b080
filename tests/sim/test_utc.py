"""The UTC model against the truth, over days of segments that never were.

The simulated origin knows when each picture was. Its encoder counts media time with an oscillator that is off by some
parts in a million, restarts now and then with a new base of its counter, and dates its segments well or badly; the
network delivers them a little late, sometimes very late. The model sees what a follower of the playlist sees, segment
by segment, and what it publishes at once is held against the truth.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import pytest

from feeds.published import Wall
from feeds.utc import UtcModel
from kernel.pts import WRAP, Ticks, reduce33, unwrap

T0 = 1_800_000_000.0
SEGMENT_S = 2.0
TICKS = 180_000
DAY = 43_200
HOUR = 1_800
FRAME_MS = 40.0


class Outcome(NamedTuple):
    """What was published for one segment: how far it is from the truth, and what it says of itself."""

    number: int
    timeline: int
    since_restart: int
    error_ms: float
    sigma_ms: float
    method: str
    wall: float


@dataclass
class Encoder:
    """What an origin may write as a date: `truth` is the UTC of the picture, `media_s` the encoder's own time."""

    rng: random.Random
    truth: float = T0
    media_s: float = 0.0
    started: float = T0
    index: int = 0


Dating = Callable[[Encoder], float | None]
Delay = Callable[[random.Random, int], float]


def scattered(encoder: Encoder) -> float:
    return round(encoder.truth + encoder.rng.uniform(-0.1, 0.1), 3)


def exact(encoder: Encoder) -> float:
    return round(encoder.truth, 3)


def computed(encoder: Encoder) -> float:
    return round(encoder.started + encoder.media_s, 3)


def absent(encoder: Encoder) -> None:
    return None


def prompt(rng: random.Random, index: int) -> float:
    """Late by the network, of an origin that is asked when a segment is expected: milliseconds, seldom much more."""
    return rng.expovariate(1 / 0.010) + (rng.uniform(0.2, 2.0) if rng.random() < 0.01 else 0.0)


def polled(rng: random.Random, index: int) -> float:
    """Late by a poll every half second, whose phase moves by 20 ms a segment, as answers take their time."""
    return (0.02 * index + rng.uniform(0, 0.02)) % 0.5 + rng.expovariate(1 / 0.010)


@dataclass
class Origin:
    seed: int = 1
    drift: float = 50e-6
    restarts: frozenset[int] = frozenset()
    dating: Dating = scattered
    delay: Delay = prompt
    latency_s: float = 1.2
    base: int = 90_000
    model: UtcModel = field(default_factory=UtcModel)

    def run(self, segments: int) -> list[Outcome]:
        rng = random.Random(self.seed)
        encoder = Encoder(rng)
        timeline, pts33, near, began, outcomes = 0, self.base, self.base, 0, []
        for index in range(segments):
            if index in self.restarts:
                timeline, began, pts33 = timeline + 1, index, rng.randrange(WRAP - 40_000 * TICKS)
                near = pts33
                encoder.truth += rng.uniform(3, 60)
                encoder.started, encoder.media_s = encoder.truth, 0.0
            encoder.index = index
            pts = unwrap(pts33, near)
            lasts_s = SEGMENT_S * (1 + self.drift)
            arrival = encoder.truth + lasts_s + self.latency_s + self.delay(rng, index)
            self.model.observe(timeline, pts, Ticks(pts + TICKS), pdt=self.dating(encoder), arrival=arrival)
            found = self.model.wall_at(timeline, pts)
            assert found is not None
            error_ms = 1000 * (found.wall - encoder.truth)
            outcomes.append(Outcome(index, timeline, index - began, error_ms, *found[1:], found.wall))
            encoder.truth += lasts_s
            encoder.media_s += SEGMENT_S
            near = pts + TICKS
            pts33 = reduce33(near)
        return outcomes


def worst(outcomes: list[Outcome]) -> float:
    return max(abs(one.error_ms) for one in outcomes)


def p99(outcomes: list[Outcome]) -> float:
    return sorted(abs(one.error_ms) for one in outcomes)[len(outcomes) * 99 // 100]


def within_two_sigma(outcomes: list[Outcome]) -> float:
    return sum(abs(one.error_ms) <= 2 * one.sigma_ms for one in outcomes) / len(outcomes)


def rises(outcomes: list[Outcome]) -> bool:
    return all(one.wall < next_.wall for one, next_ in pairwise(outcomes))


def three_restarts(seed: int) -> frozenset[int]:
    return frozenset(random.Random(seed).sample(range(HOUR, DAY - HOUR), 3))


@pytest.mark.parametrize("seed", [1, 2, 3, 204])
def test_a_day_with_drift_jitter_three_restarts_and_a_wrap(seed: int) -> None:
    """The project's figure: p99 <= 20 ms, at most a frame outside the first segment after a restart, 2 sigma >= 95 %.

    Of the day's own beginning, where nothing is learnt yet and a date is wrong by up to 100 ms, the first minute is
    judged by sigma alone: with n such dates nobody can know better than 58 ms / sqrt(n).
    """
    restarts = three_restarts(seed)
    outcomes = Origin(seed, restarts=restarts, base=WRAP - 500 * TICKS).run(DAY)
    assert {one.timeline for one in outcomes} == {0, 1, 2, 3}
    assert p99(outcomes) <= 20
    assert worst([one for one in outcomes if one.since_restart > 0 and one.number > 30]) <= FRAME_MS
    assert within_two_sigma(outcomes) >= 0.95
    assert sum(abs(one.error_ms) <= 2 * one.sigma_ms for one in outcomes[1:31]) >= 25
    for timeline in range(4):
        assert rises([one for one in outcomes if one.timeline == timeline])


@pytest.mark.parametrize("seed", [4, 5])
def test_half_second_polls_are_too_coarse_for_the_first_segments_but_not_for_the_day(seed: int) -> None:
    outcomes = Origin(seed, restarts=three_restarts(seed), delay=polled).run(DAY)
    assert p99(outcomes) <= 20
    assert worst([one for one in outcomes if one.since_restart > 30]) <= FRAME_MS
    assert within_two_sigma(outcomes) >= 0.95


@pytest.mark.parametrize("seed", [6, 7])
def test_computed_dates_that_drift_are_set_right_by_arrivals(seed: int) -> None:
    """After six hours such dates are wrong by more than a second; without arrivals nobody would know."""
    outcomes = Origin(seed, dating=computed).run(6 * HOUR)
    assert worst(outcomes) <= FRAME_MS
    assert worst(outcomes[HOUR:]) <= 5
    assert within_two_sigma(outcomes) >= 0.95
    assert rises(outcomes)


@pytest.mark.parametrize("seed", [8, 9])
def test_computed_dates_that_drift_take_longer_by_coarse_polls(seed: int) -> None:
    outcomes = Origin(seed, dating=computed, delay=polled).run(6 * HOUR)
    assert worst(outcomes) <= 120
    assert worst(outcomes[2 * HOUR :]) <= FRAME_MS
    assert within_two_sigma(outcomes) >= 0.95


def test_what_is_learnt_of_drift_outlives_a_restart_of_the_encoder() -> None:
    outcomes = Origin(10, dating=computed, restarts=frozenset({2 * HOUR})).run(4 * HOUR)
    assert worst([one for one in outcomes if one.timeline == 1]) <= 5


def test_computed_dates_without_drift_stand_as_they_are_written() -> None:
    outcomes = Origin(11, dating=computed, drift=0.0, delay=polled).run(4 * HOUR)
    assert worst(outcomes) <= 0.001
    assert max(one.sigma_ms for one in outcomes) <= FRAME_MS


@pytest.mark.parametrize("scatter_s", [0.0, 0.1])
def test_the_clock_behind_the_dates_drifts(scatter_s: float) -> None:
    """The encoder's counter is right, its clock goes wrong by 50 ppm: 180 ms an hour.

    Dates that are read are believed until the contrary is clear, after ten minutes or more; sigma believes them too.
    """

    def running_away(encoder: Encoder) -> float:
        return round(encoder.truth + 50e-6 * encoder.media_s + encoder.rng.uniform(-scatter_s, scatter_s), 3)

    outcomes = Origin(12, dating=running_away, drift=0.0).run(6 * HOUR)
    assert worst(outcomes[30:]) <= 2 * FRAME_MS
    assert worst(outcomes[HOUR:]) <= FRAME_MS
    assert within_two_sigma(outcomes[HOUR:]) >= 0.95


@pytest.mark.parametrize("step_s", [3.0, -3.0, 0.15, -0.15])
@pytest.mark.parametrize("dating", [exact, scattered], ids=["exact", "scattered"])
def test_dates_that_are_set_anew_are_followed(dating: Dating, step_s: float) -> None:
    """Truth is what the dates say: until three segments have said it, sigma covers both."""
    at = 1000

    def stepped(encoder: Encoder) -> float | None:
        date = dating(encoder)
        return None if date is None else date + (step_s if encoder.index >= at else 0.0)

    outcomes = [
        one._replace(error_ms=one.error_ms - 1000 * step_s * (one.number >= at))
        for one in Origin(13, dating=stepped).run(at + 500)
    ]
    assert rises(outcomes)
    if dating is exact or abs(step_s) > 1:
        # Two are doubted, the third is believed; backwards it takes an eighth longer than the step.
        assert all(abs(one.error_ms) <= 2.1 * one.sigma_ms for one in outcomes[at : at + 2])
        assert worst(outcomes[at + 5 :]) <= (1 if dating is exact else 2 * FRAME_MS)
    else:
        # It is no larger than the dates scatter: found by their mean, and slewed.
        assert within_two_sigma(outcomes[at + 20 :]) >= 0.95
        assert worst(outcomes[at + 200 :]) <= FRAME_MS


@pytest.mark.parametrize("delay", [prompt, polled])
def test_without_dates_arrivals_tell(delay: Delay) -> None:
    """A day with 50 ppm: more than four seconds that only the arrivals know of."""
    outcomes = Origin(14, dating=absent, delay=delay, latency_s=0.0).run(DAY)
    assert {one.method for one in outcomes} == {"arrival"}
    assert within_two_sigma(outcomes) == 1.0
    assert worst(outcomes[HOUR:]) <= FRAME_MS
    assert rises(outcomes)


def test_a_latency_that_is_known_serves_a_timeline_without_dates() -> None:
    def dated_before(encoder: Encoder) -> float | None:
        return exact(encoder) if encoder.index < HOUR else None

    outcomes = Origin(15, dating=dated_before, restarts=frozenset({HOUR})).run(HOUR + 100)
    last = [one for one in outcomes if one.timeline == 1]
    assert {one.method for one in last} == {"arrival"}
    assert worst(last) <= FRAME_MS
    assert within_two_sigma(last) >= 0.95


@pytest.mark.parametrize("dating", [computed, scattered, exact])
@pytest.mark.parametrize("late_s", [0.3, -0.3, 3600.0])
def test_neither_another_latency_nor_our_own_clock_moves_what_dates_tell(dating: Dating, late_s: float) -> None:
    def changed(rng: random.Random, index: int) -> float:
        return prompt(rng, index) + (late_s if index >= HOUR else 0.0)

    outcomes = Origin(16, dating=dating, delay=changed).run(2 * HOUR)
    assert worst(outcomes[30:]) <= FRAME_MS
    assert within_two_sigma(outcomes) >= 0.95


def test_our_own_clock_when_it_is_all_that_there_is() -> None:
    """A slower network moves nothing for a quarter of an hour; a clock that is set takes all with it at once."""
    for late_s in (0.3, 3600.0):

        def changed(rng: random.Random, index: int, late_s: float = late_s) -> float:
            return prompt(rng, index) + (late_s if index >= HOUR else 0.0)

        outcomes = Origin(17, dating=absent, delay=changed, latency_s=0.0).run(HOUR + 300)
        expected_ms = 3_600_000 if late_s > 60 else 0
        assert all(abs(one.error_ms - expected_ms) <= FRAME_MS for one in outcomes[HOUR + 20 :])


class Restarting(UtcModel):
    """A process that ends now and then, and goes on from what the journal kept."""

    def __init__(self, at: frozenset[int]) -> None:
        super().__init__()
        self._at = at
        self._journal: list[tuple[int, Ticks, Wall, str]] = []

    def observe(
        self,
        timeline: int,
        start: Ticks,
        end: Ticks,
        *,
        pdt: float | None,
        arrival: float | None,
        audio_start: Ticks | None = None,
        epoch_s: float | None = None,
    ) -> None:
        super().observe(timeline, start, end, pdt=pdt, arrival=arrival)
        published = self.wall_at(timeline, start)
        assert published is not None
        self._journal.append((timeline, start, published, json.dumps(self.state())))
        if len(self._journal) in self._at:
            UtcModel.__init__(self)
            for before, at, wall, state in self._journal[-1000:]:
                self.restore(before, at, wall, json.loads(state))


@pytest.mark.parametrize("dating", [computed, scattered, exact])
def test_our_own_restarts_lose_nothing(dating: Dating) -> None:
    at = frozenset({HOUR, 2 * HOUR, 3 * HOUR})
    outcomes = Origin(18, dating=dating, model=Restarting(at)).run(4 * HOUR)
    assert worst(outcomes[30:]) <= FRAME_MS
    assert within_two_sigma(outcomes) >= 0.95
    assert rises(outcomes)
