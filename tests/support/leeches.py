"""A corpus for the leak detector: sessions of viewers, and one in a hundred that is a leech, with what it really was.

Sessions come by showing, some thousand at a time; within a showing their fetches are in order of time. What leeches
do is what the tools that are used for it do:

* a *downloader* (ffmpeg, yt-dlp; N_m3u8DL-RE with sixteen threads) takes a list from end to end as fast as the line is;
* a *restreamer* mirrors all renditions of what is live, as they are listed;
* a *farm* has workers in many networks that share a token, each for its own share of segments or each for all;
* *workers* are several processes on one machine that each take everything;
* an *embedder* puts our URL into a page of its own;
* a *careful* one records two renditions at exactly the speed at which they are shown;
* a *sharer* posts a link, and others come, each with a player of their own.

Not in it is whoever records one rendition, once, from one network, as fast as it is shown: that is what a viewer does.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from heapq import merge
from typing import NamedTuple

from tests.support.viewers import LADDER_BPS, Device, Fetch, Player, Stage, draw_device, draw_stage

LEECHES = {
    "downloader": 25, "restreamer": 20, "farm": 15, "workers": 10, "embedder": 10, "careful": 10, "sharer": 10,
}  # fmt: skip
"""How many of a hundred leeches are of which kind."""

PER_STAGE = 2_000
SPREAD_S = 60.0
"""Within how long the sessions of a showing begin."""

WATCHED_S = (60.0, 180.0)


class Session(NamedTuple):
    """A session: what it is ("" for a viewer's, else which leech), and when it began."""

    name: str
    what: str
    began: float


class Evening(NamedTuple):
    """A showing with its sessions; `fetches` are (session's number, fetch), in order of time."""

    stage: Stage
    sessions: list[Session]
    fetches: list[tuple[int, Fetch]]


def evenings(seed: int, n_sessions: int, *, share: float = 0.01) -> Iterator[Evening]:
    """Yield the corpus, showing by showing, one after the other in time.

    Args:
        seed: all that is drawn depends on it.
        n_sessions: of all showings together.
        share: of leeches.
    """
    begins, done = 100_000.0, 0
    while done < n_sessions:
        draw = random.Random(f"{seed}/{done}")
        stage = draw_stage(draw, done // PER_STAGE, begins)
        count = min(PER_STAGE, n_sessions - done)
        yield _evening(draw, stage, begins, done, count, share)
        begins += 1_000.0
        done += count


def _evening(draw: random.Random, stage: Stage, begins: float, first: int, count: int, share: float) -> Evening:
    sessions, fetches = [], []
    homes = [draw.getrandbits(28) for _ in range(count)]
    kinds = _kinds(stage)
    for number in range(count):
        began = begins + draw.uniform(0, SPREAD_S)
        what = draw.choices(*kinds)[0] if draw.random() < share else ""
        # Some networks have many viewers: a campus, a carrier's address.
        network = homes[number % 7] if draw.random() < 0.1 else homes[number]
        made = _LEECHES[what](draw, stage, began) if what else _viewer(draw, stage, began, network)
        sessions.append(Session(f"s{first + number:020}", what, began))
        fetches += [(number, fetch) for fetch in made]
    fetches.sort(key=lambda pair: pair[1].at)
    return Evening(stage, sessions, fetches)


def _kinds(stage: Stage) -> tuple[list[str], list[int]]:
    """Return what kinds there are at a showing: nobody mirrors what has ended, or loads down what is to come."""
    not_here = {"live": {"downloader"}, "event": set(), "vod": {"restreamer", "careful"}}[stage.kind]
    if stage.page is None:
        # No page was named that may show it, so any may.
        not_here = not_here | {"embedder"}
    scale = {"downloader": 2.5} if stage.kind != "live" else {"restreamer": 1.25}
    kinds = [kind for kind in LEECHES if kind not in not_here]
    return kinds, [int(10 * LEECHES[kind] * scale.get(kind, 1.0)) for kind in kinds]


def _viewer(draw: random.Random, stage: Stage, began: float, network: int) -> Iterator[Fetch]:
    device = draw_device(draw, network)
    ends = began + draw.uniform(*WATCHED_S)
    if stage.page is not None:
        device.referer = draw.choices([stage.page, None, "translate.example"], [55, 44.97, 0.03])[0]
    if stage.kind == "vod" and draw.random() < 0.05:
        device.rate = draw.choice([1.25, 1.5, 2.0])
    fate = draw.random()
    if fate < 0.003:
        return _tabs(draw, stage, device, began, ends)
    if fate < 0.005:
        # The same link on the telephone and on the television at home.
        other = draw_device(draw, network)
        other.networks, other.rotates = [network], 0.0
        return merge(
            Player(draw, stage, device, began, ends).fetches(),
            Player(random.Random(draw.random()), stage, other, began + draw.uniform(2, 60), ends).fetches(),
        )
    return Player(draw, stage, device, began, ends).fetches()


def _tabs(draw: random.Random, stage: Stage, device: Device, began: float, ends: float) -> Iterator[Fetch]:
    """Two tabs of one browser: what one of them has got the other finds in the cache, nearly always."""
    opened = began + draw.uniform(3, 40)
    second = Player(
        random.Random(draw.random()), stage, device, opened, min(ends, opened + draw.choice([8, 20, 60, 180]))
    )
    kept: set[tuple[str, int]] = set()
    for fetch in merge(Player(draw, stage, device, began, ends).fetches(), second.fetches()):
        if (fetch.rendition, fetch.msn) not in kept or draw.random() < 0.1:
            yield fetch
        kept.add((fetch.rendition, fetch.msn))


# The leeches.


def _n_bytes(draw: random.Random, stage: Stage, level: int) -> int:
    return int(LADDER_BPS[level] * stage.segment_s / 8 * draw.uniform(0.8, 1.15))


def _downloader(draw: random.Random, stage: Stage, began: float) -> Iterator[Fetch]:
    line = draw.lognormvariate(18.8, 0.6)  # 146 Mbit/s: fibre, or a rented server
    threads = draw.choice([1, 1, 8, 16])
    network, level, at, msn = draw.getrandbits(28), draw.choice([4, 4, 4, 3]), began, 0
    pending: list[Fetch] = []
    while at < began + 60 and msn <= stage.last(at):
        n_bytes = _n_bytes(draw, stage, level)
        at += 8 * n_bytes / line + 0.05 / threads
        pending.append(Fetch(at, f"v{level}", msn, stage.segment_s, n_bytes, 1.0, network, None))
        msn += 1
        if len(pending) >= threads:
            draw.shuffle(pending)
            yield from (one._replace(at=at) for one in pending)
            pending.clear()


def _back(draw: random.Random, stage: Stage) -> int:
    """Return how far behind the end a tool begins: as a player does, or with all that is there."""
    return draw.choice([2, stage.n_window - 1])


def _mirror(
    draw: random.Random, stage: Stage, began: float, levels: list[int], network: Callable[[], int], *, late_s: float,
    back: int | None = None,
) -> Iterator[Fetch]:  # fmt: skip
    """Take renditions as they are listed; `back` as `_back`."""
    back = _back(draw, stage) if back is None else back
    msn = max(stage.first(began), stage.last(began) - back) if stage.kind != "vod" else 0
    at, in_turn = began, draw.random() < 0.5
    while at < began + 60:
        at = max(at, stage.listed_at(msn)) + draw.uniform(0.02, late_s)
        if stage.kind == "vod":
            at = max(at, began + max(0, msn - 15) * stage.segment_s)
        # One loop over the renditions, or a process for each.
        for level in levels if in_turn else draw.sample(levels, len(levels)):
            at += draw.uniform(0.02, 0.3)
            n_bytes = _n_bytes(draw, stage, level)
            yield Fetch(at, f"v{level}", msn, stage.segment_s, n_bytes, 1.0, network(), None)
        msn += 1


def _restreamer(draw: random.Random, stage: Stage, began: float) -> Iterator[Fetch]:
    network = draw.getrandbits(28)
    levels = draw.choice([[0, 1, 2, 3, 4], [2, 3, 4], [4, 3, 2, 1, 0]])
    return _mirror(draw, stage, began, levels, lambda: network, late_s=1.0)


def _careful(draw: random.Random, stage: Stage, began: float) -> Iterator[Fetch]:
    network = draw.getrandbits(28)
    return _mirror(draw, stage, began, draw.sample(range(5), 2), lambda: network, late_s=stage.segment_s / 2)


def _farm(draw: random.Random, stage: Stage, began: float) -> Iterator[Fetch]:
    networks = [draw.getrandbits(28) for _ in range(draw.randint(6, 40))]
    if draw.random() < 0.5:
        # Each for a share of the segments.
        levels = draw.choice([[4], [4, 2], [4, 3, 2, 1, 0]])
        return _mirror(draw, stage, began, levels, lambda: draw.choice(networks), late_s=0.5)
    back = _back(draw, stage)
    each = [
        _mirror(
            random.Random(draw.random()), stage, began + draw.uniform(0, 3), [4], partial(int, network), late_s=1.0,
            back=back,
        )
        for network in networks
    ]  # fmt: skip
    return merge(*each)


def _workers(draw: random.Random, stage: Stage, began: float) -> Iterator[Fetch]:
    network, back = draw.getrandbits(28), _back(draw, stage)
    each = [
        _mirror(
            random.Random(draw.random()), stage, began + draw.uniform(0, 1), [4], lambda: network, late_s=1.0, back=back
        )
        for _ in range(draw.randint(3, 6))
    ]
    return merge(*each)


def _embedder(draw: random.Random, stage: Stage, began: float) -> Iterator[Fetch]:
    page = f"free-{draw.randrange(99)}.example"
    return _crowd(draw, stage, began, draw.randint(1, 5), page, every_s=4.0)


def _sharer(draw: random.Random, stage: Stage, began: float) -> Iterator[Fetch]:
    return _crowd(draw, stage, began, draw.randint(6, 30), None, every_s=2.0)


def _crowd(
    draw: random.Random, stage: Stage, began: float, count: int, page: str | None, *, every_s: float
) -> Iterator[Fetch]:
    players, at = [], began
    for _ in range(count):
        device = draw_device(draw, draw.getrandbits(28))
        device.referer = page
        players.append(Player(random.Random(draw.random()), stage, device, at, began + 80).fetches())
        at += draw.expovariate(1 / every_s)
    return merge(*players)


_LEECHES: dict[str, Callable[[random.Random, Stage, float], Iterator[Fetch]]] = {
    "downloader": _downloader, "restreamer": _restreamer, "farm": _farm, "workers": _workers, "embedder": _embedder,
    "careful": _careful, "sharer": _sharer,
}  # fmt: skip
