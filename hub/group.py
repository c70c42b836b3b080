"""Those of a cohort who share filter and format: every byte for them is the same, and so is the count of what they had.

The hot path is one call with all their descriptors, made ready once, and touches no subscriber: 2,000 of them lie all
over the memory, and looking at each costs more than our whole share of a write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hub.cursor import Cursor
    from hub.subscriber import Filter, Format, Subscriber

SOCKETS_AT_ONCE = 400
"""How many are written conflated prices in one turn of the loop: 4 to 8 ms."""


class Ways:
    """How to write to some: to the descriptors of those in `straight`, to each of `others` by its own of `writes`.

    `batch` is what the driver makes of `straight`, and holds as long as this does.
    """

    __slots__ = ("batch", "others", "straight", "writes")

    def __init__(self, subscribers: Iterable[Subscriber]) -> None:
        self.batch: object = None
        self.straight: list[Subscriber] = []
        self.others: list[Subscriber] = []
        for subscriber in subscribers:
            (self.others if subscriber.file < 0 else self.straight).append(subscriber)
        self.writes = tuple([one.write for one in self.others])


class Group:
    """Keep members and, once for all of them, how many cues went out."""

    __slots__ = ("_members", "_to", "_ways", "cues")

    def __init__(self) -> None:
        self.cues = 0
        self._members: dict[int, Subscriber] = {}
        self._to: tuple[Subscriber, ...] | None = None
        self._ways: Ways | None = None

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, subscriber: Subscriber) -> bool:
        return subscriber.number in self._members

    def add(self, subscriber: Subscriber) -> None:
        """Make somebody a member."""
        self._members[subscriber.number] = subscriber
        subscriber.group, subscriber.counted_from = self, self.cues
        self._to = None

    def remove(self, subscriber: Subscriber) -> None:
        """Let a member go, with its share of the count; who is no member stays none."""
        if self._members.pop(subscriber.number, None) is not None:
            subscriber.sent += self.cues - subscriber.counted_from
            subscriber.group = None
            self._to = None

    def renew(self) -> None:
        """Look again at how its members are written to: of one that has changed."""
        self._ways = None

    @property
    def to(self) -> tuple[Subscriber, ...]:
        """Return the members; the same tuple until they change."""
        if self._to is None:
            self._to = tuple(self._members.values())
            self._ways = None
        return self._to

    def count(self, to: tuple[Subscriber, ...], cues: int) -> Ways:
        """Count cues that are about to be written to those who were members once; return how to write to them.

        Who leaves in the middle of the writing, because its socket is full, has been counted then.
        """
        if to is self._to:
            self.cues += cues
            if self._ways is None:
                self._ways = Ways(to)
            return self._ways
        for subscriber in to:
            subscriber.sent += cues
        return Ways(to)


def shares_of(groups: Mapping[tuple[Filter, Format, Cursor | None], Group]) -> list[frozenset[str]]:
    """Divide the markets that many want among some turns, so that those of one filter are in one of them if possible.

    Empty where one turn will do, or most want all markets: in turns they would be written to several times.
    """
    shares: list[frozenset[str]] = []
    wanted_now: set[str] = set()
    want_all = n_now = 0
    for (wanted, *_), group in groups.items():
        if wanted.markets is None:
            want_all += len(group)
            continue
        wanted_now |= wanted.markets
        n_now += len(group)
        if n_now >= SOCKETS_AT_ONCE:
            shares.append(frozenset(wanted_now))
            wanted_now, n_now = set(), 0
    if wanted_now:
        shares.append(frozenset(wanted_now))
    return shares if want_all <= SOCKETS_AT_ONCE else []
