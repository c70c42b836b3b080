"""What is remembered of a session: as little as tells a viewer from a leech, for there are a hundred thousand.

A record of an ordinary viewer has no `case`; that is opened with the first thing that is not quite ordinary, and closed
when nothing is left of it.
"""

from __future__ import annotations

SPAN = 30
"""Segments behind the newest one of which it is known whether they were fetched: the bits of a small integer."""

MASK = (1 << SPAN) - 1

BACK = 3
"""So many segments behind the newest is a jump; less far behind comes who fetches it a second time."""

MAX_NETWORKS = 64
"""Networks of one session that are told apart; the detector is certain long before."""

NETWORK_S = 60.0
"""For how long a network counts after its last request, in seconds."""

SEEK_SHARE = 0.4
MAX_SEEKS = 8
"""So often somebody seeks who looks for a scene: a dozen times at once, then as often as this share of a segment lasts.
Two players on one link that are at different places jump to and fro twice a segment, and are no downloader."""


class Case:
    """What is not quite ordinary about a session.

    `level` is what was told of it last. `foreign` counts requests from pages that may not show it, `jumps` those
    that went to another place more often than anybody seeks; both decay. `bps` is the bit rate of its last segment.
    """

    __slots__ = ("bps", "foreign", "jumps", "level", "networks", "page", "seeks_until")

    def __init__(self) -> None:
        self.level = 0
        self.bps = 0.0
        self.networks: dict[int, float] | None = None
        self.foreign = 0
        self.page = ""
        self.jumps = 0
        self.seeks_until = float("-inf")

    def seek(self, now: float, seconds: float) -> bool:
        """Take note of a jump; return whether a viewer may have sought so often. `seconds` is a segment's length."""
        cost_s = SEEK_SHARE * seconds
        until = max(self.seeks_until, now) + cost_s
        if until - now > MAX_SEEKS * cost_s:
            self.jumps += 1
            return False
        self.seeks_until = until
        return True

    def come_from(self, former: int, network: int, now: float) -> None:
        """Take note of a network; `former` is the one before."""
        if self.networks is None:
            self.networks = {former: now}
        self.networks.pop(network, None)
        self.networks[network] = now
        if len(self.networks) > MAX_NETWORKS:
            del self.networks[next(iter(self.networks))]

    def n_networks(self, now: float) -> int:
        """Return from how many networks requests came lately; those of long ago are forgotten."""
        if self.networks is None:
            return 1
        while self.networks and next(iter(self.networks.values())) < now - NETWORK_S:
            del self.networks[next(iter(self.networks))]
        return max(1, len(self.networks))

    def decay(self, now: float) -> None:
        """Let what is long ago count less."""
        self.foreign = decayed(self.foreign)
        self.jumps = decayed(self.jumps)
        if self.n_networks(now) == 1:
            self.networks = None

    def is_closed(self, now: float) -> bool:
        """Return whether nothing is left of it."""
        return not (self.level or self.foreign or self.jumps or self.networks or self.seeks_until > now)


class Trail:
    """What every fetch looks at: all of it lies in one line of a processor's cache.

    `plain_in` is the detector that it is one of as long as it has no case. `front` is the newest segment, `rendition`
    the one it was fetched in. `until` is when what was fetched would have been watched at three times the speed. From
    the number `sure` on its page is only asked for now and then. `mark` is what whoever feeds the detector knows its
    network by without working out which one it is.
    """

    __slots__ = ("front", "mark", "plain_in", "rendition", "sure", "until")

    front: int
    mark: int
    plain_in: object
    rendition: str
    sure: int
    until: float


class Record(Trail):
    """What is remembered of one session at one showing.

    What follows is as of `marked`, the newest segment that was not simply the next: from there to `front` everything
    was fetched, in `rendition`. `seen` tells which of the last `SPAN` were fetched, `run` which of them in `rendition`;
    `paired` that the last one had been fetched before, in another rendition.

    Counted are, and all decay: `n_new` segments; `n_pairs`, of which another rendition was fetched as well;
    `n_crossings`, from such a one on to the next segment in yet another rendition, or in the first again; `n_repeats`,
    fetches of the same segment in the same rendition. A player that gives a segment up and takes a smaller one makes
    pairs, but goes on with the smaller one; who takes two renditions at once crosses over.
    """

    # `_room` and `_space` hold nothing: with them it takes three lines of a cache, and its trail is all in one.
    __slots__ = (
        "_case", "_room", "_space", "home", "marked", "n_crossings", "n_new", "n_pairs", "n_repeats", "network",
        "paired", "run", "seen", "session",
    )  # fmt: skip

    def __init__(self, session: str, network: int, rendition: str, front: int, now: float, *, sure: int = 0) -> None:
        self.session = session
        self.network = network
        self.rendition = rendition
        self.front = self.marked = front
        self.until = now
        self.sure = sure
        self.mark = 0
        self.seen = self.run = 0
        self.n_new = self.n_pairs = self.n_crossings = self.n_repeats = 0
        self.paired = False
        self.home: object = None
        self.plain_in = None
        self._case: Case | None = None

    @property
    def case(self) -> Case | None:
        """Return what is not quite ordinary about it, None: nothing is."""
        return self._case

    @case.setter
    def case(self, case: Case | None) -> None:
        self._case = case
        self.plain_in = self.home if case is None else None

    def come(self, home: object) -> None:
        """Be one of a detector's from now on."""
        self.home = home
        self.plain_in = home if self._case is None else None

    def go(self) -> None:
        """Be nobody's any more. Tokens that are remembered may know it for hours yet, so it keeps next to nothing."""
        self.home = self.plain_in = self._case = None

    def settle(self) -> None:
        """Take in the segments since `marked`, which came one after the other."""
        gap = self.front - self.marked
        if gap:
            self.n_new += gap
            self.marked, self.paired = self.front, False
            gap = min(gap, SPAN)
            new = (1 << gap) - 1
            self.seen = self.seen << gap & MASK | new
            self.run = self.run << gap & MASK | new

    def begin_case(self) -> Case:
        """Return the case, opened if there was none."""
        if self.case is None:
            self.case = Case()
        return self.case

    def decay(self) -> int:
        """Let what is long ago count less; return how many fetches there were before."""
        self.settle()
        n_new, n_pairs, n_repeats = self.n_new, self.n_pairs, self.n_repeats
        self.n_new = decayed(n_new)
        if n_pairs:
            self.n_pairs, self.n_crossings = decayed(n_pairs), decayed(self.n_crossings)
        if n_repeats:
            self.n_repeats = decayed(n_repeats)
        return n_new + n_pairs + n_repeats

    def is_new(self, rendition: str, msn: int, seconds: float, now: float) -> bool:
        """Take in a fetch of a picture that is not the next one; return whether it is of something new.

        `rendition` lasts as long as the record: it must be one object for all that say the same. What is new is
        counted.
        """
        self.settle()
        switched, gap = rendition != self.rendition, msn - self.front
        if switched:
            self.rendition, self.run = rendition, 0
        if -SPAN < gap <= 0 and self._fills(1 << -gap, seconds, now):
            is_new = True
        elif -BACK < gap <= 0 or (gap <= 0 and not self._seeks(seconds, now) and gap > -SPAN):
            is_new = self._is_new_behind(1 << -gap, now, switched=switched)
        elif 0 < gap <= SPAN:
            self.n_crossings += switched and self.paired
            self._move(msn, self.seen << gap & MASK | 1, self.run << gap & MASK | 1)
            if gap > 1:
                self._seeks(seconds, now)
            is_new = True
        else:
            # Somewhere else: a player that seeks loads again what it had.
            if gap > 0:
                self._seeks(seconds, now)
            self._move(msn, 1, 1)
            is_new = True
        self.n_new += is_new
        return is_new

    def _fills(self, bit: int, seconds: float, now: float) -> bool:
        """Tell whether a segment lies in a hole between others, and fill it.

        A player that has skipped something does not come back for it but to play on from there; who comes for pieces of
        it fetches several at a time.
        """
        if self.seen & bit or self.seen < bit:
            return False
        self.begin_case().seek(now, seconds)
        self.seen |= bit
        self.run |= bit
        self.paired = False
        return True

    def _move(self, msn: int, seen: int, run: int) -> None:
        self.front = self.marked = msn
        self.seen, self.run, self.paired = seen, run, False

    def _is_new_behind(self, bit: int, now: float, *, switched: bool) -> bool:
        again, seen = self.run & bit, self.seen & bit
        self.run |= bit
        self.seen |= bit
        if not seen:
            self.paired = False
            return True
        if again:
            self.n_repeats += 1
        elif switched and not self.paired:
            # Once a segment, in however many renditions.
            self.n_pairs += 1
            self.paired = True
        if self.until < now:
            self.until = now
        return False

    def _seeks(self, seconds: float, now: float) -> bool:
        """Take note of a jump; return whether a viewer may have sought: then what was ahead is thrown away."""
        allowed = self.begin_case().seek(now, seconds)
        if allowed:
            self.until = min(self.until, now)
        return allowed


def decayed(count: int) -> int:
    """Return what a count is after ten seconds: half after less than thirty."""
    return count * 3 // 4
