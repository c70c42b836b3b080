"""Plan the replay of a recorded game: what to post when, with every time moved to now.

A recorded time t becomes start + (t - t0) / speed, where t0 is the recording's earliest. What was revised is posted
again when it was revised, so that a replay has corrections as the game had.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from feeds.vendors.nba import actions_of
from feeds.vendors.times import parse_time
from kernel import strict_json
from kernel.errors import DecodeError, SettingsError
from kernel.strict_json import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

RECORDING_LIMITS = Limits(max_bytes=256 << 20, max_depth=32, max_nodes=20_000_000)
"""A recording is the operator's own file: a season's busiest odds feed, and no more than fits the memory."""

MAX_SPEED = 10_000.0


@dataclass(frozen=True, slots=True)
class Posting:
    """A message as it was recorded, and which of its fields hold times.

    `post_at` and the values of `times` are Unix seconds of the recording.
    """

    post_at: float
    message: Mapping[str, Any]
    times: Mapping[str, float]
    whole_seconds: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Step:
    """One request of a replay: the body to post `after_s` seconds after its start."""

    after_s: float
    posting: Posting
    t0: float
    speed: float

    def rewrite(self, start: float) -> bytes:
        """Return the body, its times moved so that the recording begins at `start` (Unix seconds)."""
        message = dict(self.posting.message)
        for field, at in self.posting.times.items():
            message[field] = _iso(start + (at - self.t0) / self.speed, whole=field in self.posting.whole_seconds)
        return strict_json.encode(message).encode()


def read_recording(data: bytes) -> Any:
    """Decode a recording: one JSON document, or several that stand one a line, which become a list.

    Raises:
        DecodeError: it is neither.
    """
    try:
        return strict_json.decode(data, RECORDING_LIMITS)
    except DecodeError as error:
        try:
            return strict_json.decode_lines(data, RECORDING_LIMITS)
        except DecodeError as in_lines:
            raise DecodeError(f"{error}; read one a line: {in_lines}") from None


def plan(document: Any, vendor: str, speed: float) -> list[Step]:
    """Return the steps of a replay in the order of their time, those of one time in the recording's order.

    Args:
        document: the decoded recording.
        vendor: whose format it is in.
        speed: how many times faster than it happened.

    Raises:
        DecodeError: something in the recording has no time, or no form, that this vendor gives it.
        SettingsError: the vendor has no replay, or the speed is out of range.
    """
    if vendor not in _POSTINGS:
        raise SettingsError(f"no replay for vendor {vendor!r}: use one of {', '.join(_POSTINGS)}")
    if not 0 < speed <= MAX_SPEED:
        raise SettingsError(f"a speed lies above 0 and up to {MAX_SPEED:g}, not {speed:g}")
    postings = list(_POSTINGS[vendor](document))
    t0 = min((min([posting.post_at, *posting.times.values()]) for posting in postings), default=0.0)
    steps = [Step((posting.post_at - t0) / speed, posting, t0, speed) for posting in postings]
    return sorted(steps, key=lambda step: step.after_s)


def _nba(document: Any) -> Iterator[Posting]:
    """Post an action when it happened, and again when it was edited."""
    for index, action in enumerate(actions_of(document)):
        if not isinstance(action, dict):
            raise DecodeError(f"action {index}: a JSON object is expected, not {action!a:.40}")
        happened = parse_time(action.get("timeActual"), f"action {index}: timeActual").unix_s
        first = {"timeActual": happened, "edited": happened}
        yield Posting(happened, action, first, whole_seconds=frozenset({"edited"}))
        if action.get("edited") is None:
            continue
        edited = parse_time(action["edited"], f"action {index}: edited").unix_s
        # Written in the second in which it happened, it says nothing new; before that, it cannot be.
        if int(edited) > int(happened):
            yield Posting(edited, action, {"timeActual": happened, "edited": edited})


def _own(document: Any) -> Iterator[Posting]:
    """Post an item at its `at`, which is ours and not sent on, else when it occurred, else with the one before it."""
    items = document if isinstance(document, list) else [document]
    last: float | None = None
    waiting: list[tuple[dict[str, Any], dict[str, float]]] = []
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            raise DecodeError(f"item {index}: a JSON object is expected, not {item!a:.40}")
        message = {field: value for field, value in item.items() if field != "at"}
        times = {
            field: parse_time(item[field], f"item {index}: {field}").unix_s
            for field in ("occurred_at", "complete_to")
            if item.get(field) is not None
        }
        at = parse_time(item["at"], f"item {index}: at").unix_s if item.get("at") is not None else None
        post_at = at if at is not None else times.get("occurred_at", last)
        if post_at is None:
            # Nothing before it has a time: it goes out with the first that has one.
            waiting.append((message, times))
            continue
        for earlier, its_times in waiting:
            yield Posting(post_at, earlier, its_times)
        waiting.clear()
        last = post_at
        yield Posting(post_at, message, times)
    if waiting:
        raise DecodeError("nothing in the recording has a time: give an item `occurred_at` or `at`")


def _iso(unix_s: float, *, whole: bool) -> str:
    unit = "seconds" if whole else "milliseconds"
    rounded_s = int(unix_s) if whole else round(unix_s, 3)
    return datetime.fromtimestamp(rounded_s, UTC).isoformat(timespec=unit).removesuffix("+00:00") + "Z"


_POSTINGS: Mapping[str, Callable[[Any], Iterator[Posting]]] = {"lockstep": _own, "nba": _nba}
