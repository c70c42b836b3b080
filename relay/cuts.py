"""The cuts of one showing, added up from records: which blackout opens or closes at which segment, what stands where.

A record is a plain list, fit for a disk or a bus. Each relay finds them by itself, and all share what was found first
(`relay/cut_ledger.py`).

* `["edge", generation, msn, blackout_id, opens, late]`: from this segment of the lead on it is in force, or no longer;
  `late`: because it was heard of when some of what it hides was out.
* `["lead", generation, msn, stream, number]`: at this cut the lead of a redirect stream stands at that number.
* `["place", generation, msn, stream, rendition, up, number, before, own]`: so does a rendition (`relay/splice.py`).

They are few, and stay as long as the blackout: two edges for each blackout, and a place for each rendition. What was
said first counts, for it has been shown to somebody; only a beginning that lies in the past may turn out to be earlier.
"""

from __future__ import annotations

from bisect import bisect_left
from operator import attrgetter
from typing import Any, NamedTuple

from kernel.errors import DecodeError
from kernel.timeline import SegmentKey
from relay.splice import Cut, Place

Record = list[Any]

MAX_RECORDS = 100_000
"""As many as five hundred blackouts with a hundred renditions leave; what comes beyond is refused."""


class Edge(NamedTuple):
    """A blackout opens or closes at a segment of the lead."""

    key: SegmentKey
    opens: bool
    late: bool = False


_key = attrgetter("key")


class Cuts:
    """Hold what is known of the cuts of a showing."""

    def __init__(self) -> None:
        self.revision = 0
        """Rises with every change."""
        self._edges: dict[str, list[Edge]] = {}
        self._leads: dict[tuple[SegmentKey, str], int] = {}
        self._places: dict[tuple[SegmentKey, str, str, bool], Place] = {}
        self._all: tuple[Cut, ...] | None = None

    def add(self, record: Record) -> bool:
        """Take in a record and return whether it says something new.

        Raises:
            DecodeError: it is none of ours, or there are too many.
        """
        if len(self._places) + len(self._leads) >= MAX_RECORDS:
            raise DecodeError(f"there are {MAX_RECORDS:,} records of blackouts in one showing: no more are taken")
        try:
            kind, generation, msn, *rest = record
            key = SegmentKey(int(generation), int(msn))
            fresh = self._taken(kind, key, rest)
        except (TypeError, ValueError) as error:
            raise DecodeError(f"a record of a cut cannot be read: {error}") from None
        if fresh:
            self.revision += 1
            self._all = None
        return fresh

    def holds(self, record: Record) -> bool:
        """Tell whether a record, of those that `add` can read, is one of those that it all comes from."""
        kind, generation, msn, *rest = record
        key = SegmentKey(int(generation), int(msn))
        if kind == "edge":
            blackout_id, opens, late = rest
            return Edge(key, bool(opens), bool(late)) in self._edges.get(str(blackout_id), ())
        if kind == "lead":
            return self.lead(key, str(rest[0])) == int(rest[1])
        stream, rendition, up, *place = rest
        return self.place(key, str(stream), str(rendition), up=bool(up)) == tuple(place)

    def clear(self) -> None:
        """Forget everything."""
        self.revision += 1
        self._all = None
        self._edges.clear()
        self._leads.clear()
        self._places.clear()

    def _taken(self, kind: object, key: SegmentKey, rest: Record) -> bool:
        if kind == "edge":
            blackout_id, opens, late = rest
            return self._edge(str(blackout_id), Edge(key, bool(opens), bool(late)))
        if kind == "lead":
            stream, number = rest
            known = (key, str(stream)) in self._leads
            self._leads.setdefault((key, str(stream)), int(number))
            return not known
        if kind == "place":
            stream, rendition, up, number, before, own = rest
            at = (key, str(stream), str(rendition), bool(up))
            known = at in self._places
            self._places.setdefault(at, Place(int(number), int(before), int(own)))
            return not known
        raise DecodeError(f"a record of a cut of kind {kind!r} is unknown: another version wrote it")

    def _edge(self, blackout_id: str, edge: Edge) -> bool:
        edges = self._edges.setdefault(blackout_id, [])
        at = bisect_left(edges, edge.key, key=_key)
        # They open and close by turns.
        is_open, last = at % 2 == 1, at == len(edges)
        if edge.opens == is_open:
            return False
        if not last and (not edge.opens or edges[at].key == edge.key or edges[at].late):
            return False
        # Segments from before our time are timed newest first: a blackout turns out to have begun earlier.
        edges[at : at + 1] = [edge]
        return True

    def edges(self, blackout_id: str) -> tuple[Edge, ...]:
        """Return where a blackout has opened and closed so far, in order."""
        return tuple(self._edges.get(blackout_id, ()))

    def lead(self, key: SegmentKey, stream: str) -> int | None:
        """Return where the lead of a redirect stream stands at a cut, None if that is not known."""
        return self._leads.get((key, stream))

    def place(self, key: SegmentKey, stream: str, rendition: str, *, up: bool) -> Place | None:
        """Return where a rendition stands at a cut by what was recorded, None if that was not."""
        return self._places.get((key, stream, rendition, up))

    def all(self) -> tuple[Cut, ...]:
        """Return the cuts in the order of their segments."""
        if self._all is None:
            changes: dict[SegmentKey, list[tuple[str, Edge]]] = {}
            for blackout_id, edges in self._edges.items():
                for edge in edges:
                    changes.setdefault(edge.key, []).append((blackout_id, edge))
            active: frozenset[str] = frozenset()
            cuts = []
            for key in sorted(changes):
                for blackout_id, edge in changes[key]:
                    active = active | {blackout_id} if edge.opens else active - {blackout_id}
                cuts.append(Cut(key, active, frozenset(name for name, edge in changes[key] if edge.late)))
            self._all = tuple(cuts)
        return self._all
