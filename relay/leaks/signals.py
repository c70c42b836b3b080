"""What the signals say of a session: a weight from 0 to 1 each, and words.

Each figure stands between what viewers' players do and what tools do; docs/leaks.md tells where it comes from.
"""

from __future__ import annotations

from relay.leaks.model import Part
from relay.leaks.record import Record

PLAY_RATE = 3.0
"""The speed at which somebody may be watching, and what is fetched is forgotten: players offer up to twice the real
one, and whoever skips what is loaded already loads on."""

AHEAD_S = 150.0
AHEAD_BYTES = 80e6
MAX_AHEAD_S = 700.0
"""How far ahead a player may load: hls.js 60 MB but at most 600 s, AVPlayer up to two minutes; and more, for what is
skipped."""

SUSPECT_UNTIL_S = 0.8 * AHEAD_S / PLAY_RATE
"""What `Record.until` lies ahead of now when speed can begin to tell."""

MIN_MEDIAN = 4
"""The least median that rates are compared with, in fetches."""


def parts_of(record: Record, *, now: float, bps: float, median: int | None) -> list[Part]:
    """Return what each signal says that says anything, the heaviest first.

    Args:
        record: the session's.
        now: seconds that never step back.
        bps: of the segment fetched last, in bit/s; 0: not known.
        median: fetches of an ordinary session at that showing, counted as the record's are; None: not known yet.
    """
    parts = [_speed(record, now, bps), _renditions(record), _repeats(record), _rate(record, median)]
    case = record.case
    if case is not None:
        networks = case.n_networks(now)
        parts += [
            Part("networks", _ramp(networks, 3, 7), f"requests come from {networks} networks at once"),
            Part("referer", 0.9 * _ramp(case.foreign, 2, 5), f"a page of {case.page} shows it, which may not"),
            Part(
                "jumps",
                0.8 * _ramp(case.jumps, 7, 17),
                f"asks for segments out of order, {case.jumps} times more often than anybody seeks",
            ),
        ]
    return sorted((part for part in parts if part.weight > 0), key=lambda part: -part.weight)


def score_of(parts: list[Part]) -> float:
    """Return how likely all of that together makes a leech, 0 to 1: each part takes its share of the doubt."""
    doubt = 1.0
    for part in parts:
        doubt *= 1 - part.weight
    return 1 - doubt


def is_plain(record: Record, now: float, bps: float) -> bool:
    """Tell, at little cost, that no part could weigh enough to tell of, whatever the others say."""
    if (record.n_crossings and record.n_pairs > 3) or record.n_repeats > 4:
        return False
    if PLAY_RATE * (record.until - now) > 0.8 * _limit_s(bps):
        return False
    case = record.case
    return case is None or not (
        case.level or case.foreign > 2 or case.jumps > 7 or (case.networks is not None and len(case.networks) > 3)
    )


def _limit_s(bps: float) -> float:
    return min(MAX_AHEAD_S, max(AHEAD_S, 8 * AHEAD_BYTES / bps)) if bps > 0 else MAX_AHEAD_S


def _speed(record: Record, now: float, bps: float) -> Part:
    ahead_s, limit_s = PLAY_RATE * (record.until - now), _limit_s(bps)
    weight = _ramp(ahead_s, 0.8 * limit_s, limit_s)
    return Part("speed", weight, f"has fetched {ahead_s:.0f} s more than can have been watched at any speed")


def _renditions(record: Record) -> Part:
    n_new = max(1, record.n_new)
    paired = _ramp(record.n_pairs, 3, 6) * _ramp(record.n_pairs / n_new, 0.6, 0.9)
    crossed = _ramp(record.n_crossings, 0, 1) * _ramp(record.n_crossings / n_new, 0.0, 0.15)
    words = f"fetches several video renditions at once: of {record.n_pairs} segments lately"
    return Part("renditions", 0.9 * paired * crossed, words)


def _repeats(record: Record) -> Part:
    weight = 0.9 * _ramp(record.n_repeats, 4, 8) * _ramp(record.n_repeats / max(1, record.n_new), 1.0, 1.6)
    return Part("repeats", weight, f"fetches the same segments again: {record.n_repeats} times lately")


def _rate(record: Record, median: int | None) -> Part:
    count = record.n_new + record.n_pairs + record.n_repeats
    ratio = 0.0 if median is None else count / max(median, MIN_MEDIAN)
    return Part("rate", 0.5 * _ramp(ratio, 6, 20), f"asks {ratio:.0f} times as often as others at this showing")


def _ramp(value: float, low: float, high: float) -> float:
    """Return 0 up to `low`, 1 from `high` on, and in between what lies in between."""
    return min(1.0, max(0.0, (value - low) / (high - low)))
