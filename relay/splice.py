"""Splice one rendition for those inside blackouts: segments of a redirect stream stand where the showing's are dark.

All of it is a pure function of what is retained: the segments that are out, of the showing and of the redirect streams,
and the *cuts*, which say from which segment on which blackouts are in force. So every node writes the same, and again
after a restart.

Rules:
* Numbers count what the viewer's list has held: behind a splice the showing's segments go on under other numbers than
  their own. They are added up from the cuts, so that nothing of a splice needs to be kept that is long past.
* Both edges are discontinuities, and counted (RFC 8216, 4.3.3.3). Nothing changes where what follows is what would have
  followed anyway: two blackouts that lead to one stream are one splice.
* They are counted where the lead is, for all renditions: at one time all have one discontinuity sequence number
  (6.2.4), or players take timestamps for those of another stretch, or wait for one that never comes. What has no
  segment of a rendition beside it, as a short rest of a stream between an edge and a discontinuity of its own, leaves
  its tag to the next one (6.2.1: each tag counts).
* A block ends the list (4.3.3.4). Behind it the usual list begins again, under its own numbers.
* The showing's own segments are dark if they overlap what is dark at all: the start rounds down, the end up.
* Who turns out to be inside when some of it is out has a list that begins there, with what the redirect stream has
  shown last: players take a number that comes again with another segment for an error.
* Where it is not known yet how a splice goes on, the list does not grow: nothing is ever taken back.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from operator import attrgetter
from typing import NamedTuple, Protocol

from kernel.blackouts import Veil, ZoneSet
from kernel.timeline import SegmentKey
from relay.playlist import Listed

_DATES = ("#EXT-X-PROGRAM-DATE-TIME:", "#EXT-X-DATERANGE:")
_msn = attrgetter("key.msn")


class Place(NamedTuple):
    """Where a rendition stands at a cut.

    `msn` is the number of its first segment behind the cut, `before` the discontinuity sequence number of the segment
    before that, `own` its own; None: that one is not out yet.
    """

    msn: int
    before: int
    own: int | None


class Cut(NamedTuple):
    """From a segment of the lead on other blackouts are in force.

    `late` are those of `active` that are in force from here on only because nobody knew of them in time.
    """

    key: SegmentKey
    active: frozenset[str]
    late: frozenset[str] = frozenset()


class Ground(Protocol):
    """What is known of a rendition, of the showing and of every redirect stream."""

    def place(self, cut: Cut, stream: str, *, up: bool) -> Place | None:
        """Return where it stands at a cut, None as long as nothing that is out lies behind it.

        Where one of its segments spans the cut, that is the next one with `up`, this one without.
        """
        ...

    def own(self, stream: str, msn: int) -> int | None:
        """Return the discontinuity sequence number of a segment, None if it is not out or no longer kept."""
        ...


class Piece(NamedTuple):
    """Segments of one stream, one behind the other: numbers `first` to `stop`, exclusive.

    The segment `anchor` stands under `number` in the variant, all others as far from it as in their own stream.
    `shift` is what is added to their discontinuity sequence numbers, `least` what those are at least, and `before` that
    of the segment before the first, None if none is. `spliced` says that something else stands before the first.
    `undated`: without its dates, and what needs them (RFC 8216, 4.3.2.6 and 4.3.2.7).
    """

    stream: str
    first: float = -inf
    stop: float = inf
    anchor: int = 0
    number: int = 0
    shift: int = 0
    least: float = -inf
    before: int | None = None
    spliced: bool = False
    undated: bool = False

    def number_of(self, msn: int) -> int:
        """Return under which number a segment stands in the variant."""
        return self.number + msn - self.anchor

    def sequence_of(self, own: int) -> int:
        """Return which discontinuity sequence number one of its stream's own is in the variant."""
        return int(max(own + self.shift, self.least))

    def as_listed(self, item: Listed) -> Listed:
        """Return a segment as it stands in the variant: what its own stream has before it may not stand here."""
        sequence = self.sequence_of(item.discontinuity_sequence)
        is_first = item.key.msn == self.first
        before = self.before if is_first else None
        if before is None:
            before = self.sequence_of(item.discontinuity_sequence - item.discontinuities)
        broken = item.broken and not (is_first and self.spliced)
        if self.undated and any(line.startswith(_DATES) for line in item.lines):
            item = replace(item, lines=tuple(line for line in item.lines if not line.startswith(_DATES)))
        if (sequence, sequence - before, broken) == (item.discontinuity_sequence, item.discontinuities, item.broken):
            return item
        return replace(item, discontinuity_sequence=sequence, discontinuities=sequence - before, broken=broken)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a variant of one rendition is made of, oldest first; `blocked`: nothing follows any more."""

    pieces: tuple[Piece, ...]
    blocked: bool

    def holds(self, stream: str, msn: int) -> bool:
        """Tell whether a segment stands in the variant, has stood in it, or will."""
        return any(one.stream == stream and one.first <= msn < one.stop for one in self.pieces)


def place_in(items: Sequence[Listed], msn: int) -> Place | None:
    """Return where a rendition stands before a segment, None if that lies outside what is kept.

    Args:
        items: what is out and kept of it, oldest first.
        msn: the segment's number; it may be the next one to come.
    """
    at = bisect_left(items, msn, key=_msn)
    own = items[at].discontinuity_sequence if at < len(items) and items[at].key.msn == msn else None
    if at and items[at - 1].key.msn == msn - 1:
        return Place(msn, items[at - 1].discontinuity_sequence, own)
    return None if own is None else Place(msn, own - items[at].discontinuities, own)


def place_lost(items: Sequence[Listed], msn: int) -> Place | None:
    """Return where a rendition stood before a segment that was never out here; None: it may still come.

    That is for good: segments come in their order. What lies behind it counts as if it followed at once.
    """
    at = bisect_left(items, msn, key=_msn)
    if at == len(items) or items[at].key.msn == msn:
        return None
    behind = items[at]
    before = items[at - 1].discontinuity_sequence if at else behind.discontinuity_sequence - behind.discontinuities
    return Place(msn, before, before)


def label_of(active: frozenset[str], zones: ZoneSet) -> Veil | None:
    """Return which blackout counts for a viewer where some are in force, None if none does."""
    return next((one for one in zones if one.blackout_id in active), None)


def plan(stream: str, cuts: Iterable[Cut], zones: ZoneSet, ground: Ground, lead: Ground | None = None) -> Plan:
    """Return what a variant of a rendition is made of.

    Args:
        stream: the showing.
        cuts: in the order of their segments.
        zones: whose variant it is.
        ground: what is known of the rendition.
        lead: what is known of the lead rendition, None if that is this one.
    """
    draft, count = _Draft(stream), _Count(stream)
    lead = lead or ground
    for cut in cuts:
        label = label_of(cut.active, zones)
        source = stream if label is None else label.redirect
        late = label is not None and label.blackout_id in cut.late
        if source == draft.source:
            continue
        if draft.source is not None:
            leads_end = lead.place(cut, draft.source, up=True)
            # Of the showing's own, what spans the cut is dark; of another stream's it fills the rest, where it can.
            up = draft.source != stream and not goes_beyond(cut, draft.source, ground, lead)
            end = ground.place(cut, draft.source, up=up)
            if end is None or leads_end is None:
                # Nothing of it lies behind the cut yet. Of what is dark beforehand nothing is shown meanwhile.
                return draft.plan() if not late else Plan((), blocked=source is None)
            draft.close(end)
            count.close(leads_end)
        if late:
            draft.forget()
        if source is None:
            draft.block()
            continue
        leads_begin, begin = lead.place(cut, source, up=True), ground.place(cut, source, up=True)
        if leads_begin is None or begin is None:
            return draft.plan(waits=True)
        if draft.source is None:
            draft.begin_anew(source, begin)
            count.begin_anew(source, leads_begin)
        else:
            count.open(source, leads_begin, lead.own(source, leads_begin.msn))
            # What stands in for what is out begins with what its own stream has shown already, so that players have
            # enough to begin with. By its dates they would look for it where they have been, and pass over it.
            draft.open(source, begin, count, undated=late)
    return draft.plan()


def goes_beyond(cut: Cut, stream: str, ground: Ground, lead: Ground) -> bool:
    """Tell whether what spans a cut lies behind a discontinuity of its stream that the lead does not come to there."""
    end, leads = ground.place(cut, stream, up=True), lead.place(cut, stream, up=True)
    return end is not None and leads is not None and end.before > leads.before


class _Count:
    """How far the lead's discontinuity sequence has come: its own number in the variant counts for all renditions.

    `shift` and `least` are the open piece's.
    """

    def __init__(self, stream: str) -> None:
        self.shift = 0
        self.least: float = -inf
        self._source = stream
        self._first: float = -inf
        self._sequence = 0
        self._last: tuple[str, float] | None = None

    def close(self, end: Place) -> None:
        """End the lead's open piece; one without segments has never been."""
        if end.msn > self._first:
            self._sequence = end.before + self.shift
            self._last = self._source, end.msn

    def begin_anew(self, source: str, begin: Place) -> None:
        """Go by a stream's own numbers."""
        self._source, self._first, self._last = source, begin.msn, None
        self.shift, self.least, self._sequence = 0, -inf, begin.before

    def open(self, source: str, begin: Place, own: int | None) -> None:
        """Begin a piece of the lead; `own` is the number of its first segment, None if that is not out."""
        own = own if own is not None else begin.own
        own = begin.before if own is None else own
        spliced = self._last != (source, begin.msn)
        self.least = self._sequence + spliced
        self.shift = self._sequence + 1 - own if spliced else self._sequence - begin.before
        self._source, self._first = source, begin.msn


class _Draft:
    """A plan in the making: the closed pieces, the open one, and how far the counts have come."""

    def __init__(self, stream: str) -> None:
        self.source: str | None = stream
        self._pieces: list[Piece] = []
        self._open: Piece | None = Piece(stream)
        self._number = 0
        self._before: int | None = None
        self._last: tuple[str, float] | None = None

    def close(self, end: Place) -> None:
        """End the open piece; one without segments has never been."""
        piece = self._open
        assert piece is not None
        self._open = None
        if end.msn <= piece.first:
            self._number = piece.number_of(int(piece.first))
        else:
            self._number = piece.number_of(end.msn)
            self._pieces.append(piece._replace(stop=end.msn))
            self._before = piece.sequence_of(end.before)
            self._last = piece.stream, end.msn

    def forget(self) -> None:
        """Leave out all that was; numbers go on."""
        self._pieces.clear()

    def block(self) -> None:
        """End the list: what comes behind begins anew."""
        self.source = None

    def begin_anew(self, source: str, begin: Place) -> None:
        """Begin a list anew behind a block, under its stream's own numbers: the usual one, as a rule."""
        self._pieces.clear()
        self._before = self._last = None
        self._open = Piece(source, begin.msn)
        self.source = source

    def open(self, source: str, begin: Place, count: _Count, *, undated: bool) -> None:
        """Begin a piece; `count` says how its discontinuities are counted."""
        spliced = self._last != (source, begin.msn)
        least = count.least if self._before is None else max(count.least, self._before + spliced)
        self._open = Piece(
            source, begin.msn, inf, begin.msn, self._number, count.shift, least, self._before, spliced, undated
        )  # fmt: skip
        self.source = source

    def plan(self, *, waits: bool = False) -> Plan:
        """Return what there is; `waits`: where it goes on is not known yet."""
        pieces = [*self._pieces, self._open] if self._open is not None else self._pieces
        return Plan(tuple(pieces), self.source is None and not waits)


def darkness(stream: str, cuts: Iterable[Cut], zones: ZoneSet, ground: Ground) -> list[tuple[int, float]]:
    """Return which segments of the showing's own a viewer may not have: first number and stop, exclusive.

    Arguments as for `plan`.
    """
    out: list[tuple[int, float]] = []
    dark = False
    for cut in cuts:
        label = label_of(cut.active, zones)
        if (label is not None) != dark:
            place = ground.place(cut, stream, up=dark)
            if dark and place is not None:
                out[-1] = (out[-1][0], place.msn)
            elif label is not None and label.blackout_id in cut.late:
                out.append((0, inf))  # All that was before it is dark as well.
            elif place is not None:
                out.append((place.msn, inf))
            else:
                break  # Nothing that is out lies behind it.
            dark = not dark
    return out


class Spliced(NamedTuple):
    """A segment in a variant: under which number, of which stream, and as it is to be written."""

    number: int
    stream: str
    item: Listed


def splice(made_of: Plan, items: Mapping[str, Sequence[Listed]]) -> list[Spliced]:
    """Return the segments of a variant that are out, oldest first, under consecutive numbers.

    Args:
        made_of: what it is made of.
        items: what is out and kept of each stream, oldest first.
    """
    out: list[Spliced] = []
    for piece in made_of.pieces:
        kept = items.get(piece.stream, ())
        begin = bisect_left(kept, piece.first, key=_msn)
        for item in kept[begin : bisect_left(kept, piece.stop, key=_msn)]:
            as_listed = piece.as_listed(item)
            if as_listed.discontinuity_sequence >= as_listed.discontinuities:
                out.append(Spliced(piece.number_of(item.key.msn), piece.stream, as_listed))
    first = len(out) - 1
    while first > 0 and _follows(out[first - 1], out[first]):
        first -= 1
    return out[max(first, 0) :]


def _follows(before: Spliced, after: Spliced) -> bool:
    """Tell whether two segments may stand one behind the other: nothing is missing, and no MAP has to end (4.3.2.5)."""
    loses_map = before.item.segment.map_line is not None and after.item.segment.map_line is None
    return after.number == before.number + 1 and not after.item.broken and not loses_map
