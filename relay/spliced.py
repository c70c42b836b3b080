"""Write a showing's playlists for those inside blackouts, and tell what they may have.

Nobody inside anything has the usual lists, as they are. For all others there is a list for each rendition and zone set,
made of what the usual lists hold (`relay/splice.py`) and kept until something changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from kernel.blackouts import ZoneSet
from kernel.timeline import SegmentKey
from relay.cuts import Cuts, Record
from relay.cutting import Cutter
from relay.listing import MIN_WINDOW_TARGETS, Listing
from relay.playlist import Asset, Head, Listed, head_text, item_text
from relay.presentation import Presentation
from relay.splice import Cut, Place, Plan, Spliced, darkness, goes_beyond, plan, splice

MAX_VIEWS = 4_096
"""Variants that are kept: fifty zone sets of a ladder of ten in eight languages."""

Known = Callable[[str], Presentation | None]
"""Return what is out of a showing, None if there is no such one here."""


@lru_cache(maxsize=4_096)
def tag_of(stream: str) -> str:
    """Return what stands before the numbers of a redirect stream's segments: a name, and no way to anywhere."""
    return hashlib.sha256(stream.encode()).hexdigest()[:8]


@dataclass(slots=True)
class View:
    """A variant of one rendition as it stands.

    `stamp` tells whether anything has changed. `first` is the first number that the list has shown: it never goes back.
    """

    stamp: tuple[object, ...]
    made_of: Plan
    dark: list[tuple[int, float]]
    first: int
    text: str | None = None
    is_written: bool = False
    ended: bool = False


@dataclass(slots=True)
class Rendition:
    """What is known of one rendition, of the showing and of all redirect streams (`relay/splice.py`, Ground)."""

    stream: str
    name: str
    cuts: Cuts
    known: Known
    lists: dict[str, Listing] = field(default_factory=dict)

    def place(self, cut: Cut, stream: str, *, up: bool) -> Place | None:
        """Return where it stands at a cut, by what was recorded, else by what is out."""
        place = self.cuts.place(cut.key, stream, self.name, up=up)
        if place is not None:
            return place
        msn = cut.key.msn if stream == self.stream else self.cuts.lead(cut.key, stream)
        presentation = self.known(stream)
        return None if msn is None or presentation is None else presentation.place(self.name, msn, up=up)

    def own(self, stream: str, msn: int) -> int | None:
        """Return the discontinuity sequence number of a segment that is out and kept."""
        presentation = self.known(stream)
        place = None if presentation is None else presentation.place_of(self.name, msn)
        return None if place is None else place.own


def streams_of(zones: ZoneSet) -> list[str]:
    """Return which other streams a zone set may lead to."""
    return list(dict.fromkeys(veil.redirect for veil in zones if veil.redirect is not None))


class Splicer:
    """Hold the variants of one showing.

    Args:
        stream: the showing.
        known: what is out of each showing, its own included.
    """

    def __init__(self, stream: str, known: Known) -> None:
        self._stream = stream
        self._known = known
        self.cuts = Cuts()
        self.cutter = Cutter(stream, self.cuts)
        self._views: dict[tuple[str, tuple[tuple[str, str | None], ...]], View] = {}

    def text(self, rendition: str | None, zones: ZoneSet) -> str | None:
        """Return a playlist as it stands for a zone set, None if nothing of it is out.

        Args:
            rendition: its name, None for the top playlist.
            zones: what the viewer is inside of.
        """
        own = self._known(self._stream)
        if own is None:
            return None
        name = own.media_name(rendition)
        if not zones or name is None:
            return own.text(rendition)
        view = self._view(name, zones)
        if view is None:
            return None
        if not view.is_written:
            view.text, view.is_written = self._written(view, name, own), True
        return view.text

    def find(self, rendition: str, tag: str, generation: int, msn: int, zones: ZoneSet) -> Listed | None:
        """Return a redirect stream's segment that is out, kept, and meant for a zone set."""
        for stream in streams_of(zones):
            if tag_of(stream) != tag:
                continue
            listing = self._listing(stream, rendition)
            view = self._view(rendition, zones)
            if listing is not None and view is not None and view.made_of.holds(stream, msn):
                return listing.find((generation, msn))
        return None

    def is_dark(self, rendition: str, msn: int, zones: ZoneSet) -> bool:
        """Tell whether one of the showing's own segments is kept from a zone set."""
        if not zones:
            return False
        view = self._view(rendition, zones)
        return view is not None and any(first <= msn < stop for first, stop in view.dark)

    def is_blocked(self, rendition: str, zones: ZoneSet) -> bool:
        """Tell whether a zone set's list has ended with a block."""
        view = self._view(rendition, zones) if zones else None
        return view is not None and view.made_of.blocked

    def asset(self, rendition: str, name: str, zones: ZoneSet) -> Asset | None:
        """Return what a redirect stream's segments need under a name, or None."""
        for stream in streams_of(zones):
            presentation = self._known(stream)
            asset = presentation.asset(rendition, name) if presentation is not None else None
            if asset is not None:
                return asset
        return None

    def after_opening(self, opened: SegmentKey | None, *, now: float) -> list[Record]:
        """Take note of what is out, and return what is new of the cuts.

        Args:
            opened: the newest segment of the lead that is out.
            now: bus time.
        """
        self.cutter.opened = opened
        return [*self.cutter.settle(now=now), *self._record()]

    def _record(self) -> list[Record]:
        """Record where everything stands at the cuts as soon as it is known for good, and return what is new."""
        out: list[Record] = []
        own = self._known(self._stream)
        cuts = self.cuts.all()
        if own is None or not cuts:
            return out
        # Upwards first: whether the other is needed at the end of a redirect stream, that tells.
        streams = [(one, up) for one in (self._stream, *sorted(self.cutter.streams)) for up in (True, False)]
        for name in own.renditions:
            ground = Rendition(self._stream, name, self.cuts, self._known)
            lead = replace(ground, name=own.lead_name)
            for cut in cuts:
                for stream, up in streams:
                    if self.cuts.place(cut.key, stream, name, up=up) is not None:
                        continue
                    if not up and stream != self._stream and not goes_beyond(cut, stream, ground, lead):
                        continue
                    place = ground.place(cut, stream, up=up)
                    if place is not None and place.own is not None:
                        record: Record = ["place", *cut.key, stream, name, up, *place]
                        if self.cuts.add(record):
                            out.append(record)
        return out

    def _listing(self, stream: str, name: str) -> Listing | None:
        presentation = self._known(stream)
        return None if presentation is None else presentation.listing(name)

    def _view(self, name: str, zones: ZoneSet) -> View | None:
        listing = self._listing(self._stream, name)
        if listing is None:
            return None
        # Not by their windows: of one that is ended the same list goes on. When it is dark, the cuts say.
        key = (name, tuple([(veil.blackout_id, veil.redirect) for veil in zones]))
        before = self._views.get(key)
        own = self._known(self._stream)
        assert own is not None
        names = dict.fromkeys((name, own.lead_name))
        all_of_them = [self._listing(stream, one) for stream in (self._stream, *streams_of(zones)) for one in names]
        lists = [one for one in all_of_them if one is not None]
        if any(one.is_held for one in lists):
            return before
        ended = own.ended(name)
        stamp = (self.cuts.revision, ended, *[one.revision for one in lists])
        if before is not None and before.stamp == stamp:
            return before
        ground = Rendition(self._stream, name, self.cuts, self._known)
        lead = None if name == own.lead_name else replace(ground, name=own.lead_name)
        made_of = plan(self._stream, self.cuts.all(), zones, ground, lead)
        dark = darkness(self._stream, self.cuts.all(), zones, ground)
        view = View(stamp, made_of, dark, 0, ended=ended)
        if before is not None and before.made_of.pieces[:1] == made_of.pieces[:1]:
            view.first = before.first
        if before is not None and before.made_of.blocked and made_of == before.made_of:
            # Behind its end nothing of it changes, whatever has left the lists it was made of (4.3.3.4).
            view.text, view.is_written = before.text, before.is_written
        elif len(self._views) >= MAX_VIEWS:
            self._views.clear()
        self._views[key] = view
        return view

    def _written(self, view: View, name: str, own: Presentation) -> str | None:
        listing = own.listing(name)
        assert listing is not None
        names = {piece.stream for piece in view.made_of.pieces}
        lists = {one: found for one in names if (found := self._listing(one, name)) is not None}
        spliced = splice(view.made_of, {one: found.items for one, found in lists.items()})
        if not spliced or listing.head is None:
            return None
        heads = [found.head for found in lists.values() if found.head is not None]
        head = common_head(listing.head, heads)
        usual = {one: found.first_shown.msn if found.first_shown else 0 for one, found in lists.items()}
        shown = spliced[_first_shown(spliced, usual, MIN_WINDOW_TARGETS * head.target_s, view.first) :]
        view.first = shown[0].number
        pieces = view.made_of.pieces
        ended = view.made_of.blocked or (view.ended and pieces[-1].stream == self._stream)
        return variant_text(head, shown, ended=ended, prefix=listing.prefix, stream=self._stream)


def common_head(own: Head, heads: Sequence[Head]) -> Head:
    """Return the playlist-level tags of a variant: it slides, whatever the usual list does."""
    return replace(
        own,
        kind=None,
        version=max([own.version, *(head.version for head in heads)]),
        target_s=max([own.target_s, *(head.target_s for head in heads)]),
        independent_segments=all([own.independent_segments, *(head.independent_segments for head in heads)]),
    )


def _first_shown(spliced: Sequence[Spliced], usual: Mapping[str, int], least_s: float, least: int) -> int:
    """Return the index of the first segment that a list shows: those that its own list shows, and enough of them.

    Args:
        spliced: what could be shown.
        usual: the first number that each stream's own list shows: so every node shows the same, however long it runs.
        least_s: how long the list is at least, as far as there is so much.
        least: the first number that was shown before.
    """
    length_s = 0.0
    for index in range(len(spliced) - 1, -1, -1):
        number, stream, item = spliced[index]
        # 6.2.2: what was removed from a list never comes back, or its media sequence number would fall.
        if number < least or (item.key.msn < usual[stream] and length_s >= least_s):
            return min(index + 1, len(spliced) - 1)
        length_s += item.segment.duration_s
    return 0


def variant_text(head: Head, shown: Sequence[Spliced], *, ended: bool, prefix: str, stream: str) -> str:
    """Return the text of a variant.

    Args:
        head: its playlist-level tags.
        shown: its segments, at least one, under consecutive numbers.
        ended: whether nothing will be added any more.
        prefix: stands before names in the playlist.
        stream: the showing; segments of any other get a name that tells them apart.
    """
    parts = [head_text(head, shown[0].item, number=shown[0].number)]
    before: Listed | None = None
    for _, source, item in shown:
        parts.append(item_text(before, item, prefix=prefix if source == stream else f"{prefix}{tag_of(source)}-"))
        before = item
    if ended:
        parts.append("#EXT-X-ENDLIST\n")
    return "".join(parts)
