"""All of one showing's video as players see it: the top playlist, the lead rendition, and its companions."""

from __future__ import annotations

from kernel.multivariant import MultivariantPlaylist
from kernel.playlist import MediaPlaylist
from kernel.showings import Showing
from kernel.timeline import SegmentKey
from relay.companion import Companion
from relay.listing import Listing
from relay.playlist import Asset, Listed, Resolve
from relay.splice import Place, place_in, place_lost
from relay.variants import Rendition, Variants
from relay.window import Window

SINGLE = "main"
"""The folder of a stream whose origin serves one media playlist, which then is the top playlist itself."""


class Presentation:
    """Hold one stream's playlists.

    Args:
        showing: what is shown.
    """

    def __init__(self, showing: Showing) -> None:
        self.window = Window(showing.event_id, hold_s=showing.hold_s, max_hold_s=showing.max_hold_s)
        self.window.listing.prefix = f"{SINGLE}/"
        self._lead_name = SINGLE
        self._variants: Variants | None = None
        self._companions: dict[str, Companion] = {}
        self._pictures: set[str] = set()

    def observe_top(self, playlist: MultivariantPlaylist, resolve: Resolve) -> tuple[Rendition, ...]:
        """Take in a copy of the origin's multivariant playlist and return what it is made of, the lead included.

        Args:
            playlist: the copy.
            resolve: turns a URI of this copy into an absolute one.
        """
        if self._variants is None:
            self._variants = Variants()
            self.window.listing.prefix = ""
        self._variants.observe(playlist, resolve)
        for rendition in self._variants.renditions:
            if rendition.picture:
                self._pictures.add(rendition.name)
            if rendition.lead:
                self._lead_name = rendition.name
            elif rendition.name not in self._companions:
                self._companions[rendition.name] = Companion(self.window)
        return self._variants.renditions

    def observe(
        self, rendition: str, playlist: MediaPlaylist, refs: list[str], resolve: Resolve, *, now: float
    ) -> None:
        """Take in a copy of a companion's media playlist; arguments as for `Window.observe`."""
        self._companions[rendition].observe(playlist, refs, resolve, now=now)

    def hold(self) -> None:
        """Have every text stay what it is until `release`: a thread is about to change a great deal."""
        self.window.listing.hold(ended=self.window.ended)
        for companion in self._companions.values():
            companion.hold()

    def release(self) -> None:
        """Let the texts say what is out again."""
        self.window.listing.release()
        for companion in self._companions.values():
            companion.listing.release()

    @property
    def n_waiting(self) -> int:
        """Return how many segments are known and not out, of the rendition that has most."""
        return max([self.window.n_waiting, *(one.n_waiting for one in self._companions.values())])

    def unseen(self, rendition: str, playlist: MediaPlaylist) -> int:
        """Return how many segments of a companion's copy may be new."""
        return self._companions[rendition].unseen(playlist)

    def is_behind(self, rendition: str) -> bool:
        """Return whether the lead is out further than a companion is known."""
        return self._companions[rendition].behind

    def open_companions(self) -> None:
        """List of every companion what the lead's progress allows."""
        for companion in self._companions.values():
            companion.open()

    def text(self, rendition: str | None) -> str | None:
        """Return a playlist as it stands, None if nothing of it is out.

        Args:
            rendition: its name, None for the top playlist.
        """
        if rendition is None:
            if self._variants is None:
                return self.window.text()
            # Players take a missing media playlist for the end: the top one comes when the lead is out.
            return self._variants.text() if self.window.listing.is_out else None
        if self._variants is None:
            return None
        if rendition == self._lead_name:
            return self.window.text()
        companion = self._companions.get(rendition)
        return companion.text() if companion is not None else None

    def knows(self, rendition: str | None) -> bool:
        """Return whether there is such a playlist, be it that nothing of it is out yet."""
        if rendition is None or self._variants is None:
            return rendition is None
        return rendition == self._lead_name or rendition in self._companions

    def find(self, rendition: str, generation: int, msn: int) -> Listed | None:
        """Return a segment that is out and still kept, or None."""
        if rendition == self._lead_name:
            return self.window.listing.find((generation, msn))
        companion = self._companions.get(rendition)
        return companion.listing.find((generation, msn)) if companion is not None else None

    def listing(self, rendition: str) -> Listing | None:
        """Return what is out of a rendition, None if there is no such one."""
        if rendition == self._lead_name:
            return self.window.listing
        companion = self._companions.get(rendition)
        return companion.listing if companion is not None else None

    @property
    def renditions(self) -> tuple[str, ...]:
        """Return the names of all renditions, the lead first."""
        return (self._lead_name, *self._companions)

    @property
    def lead_name(self) -> str:
        """Return the name of the lead rendition."""
        return self._lead_name

    def place(self, rendition: str, msn: int, *, up: bool) -> Place | None:
        """Return where a rendition stands at the beginning of one of the lead's segments.

        One that the origin had dropped before it was out here, because nothing ran or the origin was away, is never
        out: then by what came first behind it, as if all renditions had been numbered alike.

        Args:
            rendition: its name.
            msn: the lead's segment, which is out or will be next.
            up: where a segment of the rendition spans that beginning: whether it stands behind that one.
        """
        listing = self.listing(rendition)
        if listing is None or not listing.items:
            return None
        number: int | None = msn
        if rendition != self._lead_name:
            begin = self.window.begin_of(msn)
            number = None if begin is None else self._companions[rendition].number_at(begin, up=up)
            lead = self.window.listing.items
            if number is None and lead and msn < lead[0].key.msn:
                number = listing.items[0].key.msn - (lead[0].key.msn - msn)
        return None if number is None else place_in(listing.items, number) or place_lost(listing.items, number)

    def place_of(self, rendition: str, msn: int) -> Place | None:
        """Return where a rendition stands before one of its own segments, None if that lies outside what is kept."""
        listing = self.listing(rendition)
        return None if listing is None else place_in(listing.items, msn)

    def media_name(self, rendition: str | None) -> str | None:
        """Return the name of the rendition whose media playlist is asked for, None if it is no media playlist."""
        if self._variants is None:
            return self._lead_name if rendition is None else None
        return rendition if rendition is not None and self.listing(rendition) is not None else None

    def ended(self, rendition: str) -> bool:
        """Return whether everything of a rendition is out and nothing will be added."""
        companion = self._companions.get(rendition)
        return self.window.ended and (companion is None or companion.ended)

    def shown_in(self, rendition: str, key: SegmentKey) -> tuple[int, int] | None:
        """Return which of the lead's segments are seen by who has a segment: the first and the last number.

        None where it carries no picture. The lead always counts: of a programme without pictures it is what there is.
        """
        return self.beside(rendition, key) if rendition in self._pictures or rendition == self._lead_name else None

    def beside(self, rendition: str, key: SegmentKey) -> tuple[int, int] | None:
        """Return which of the lead's segments a segment lies beside, the first and the last number; None: none."""
        if rendition == self._lead_name:
            return (key.msn, key.msn)
        companion = self._companions.get(rendition)
        return companion.shown_in(key) if companion is not None else None

    def asset(self, rendition: str, name: str) -> Asset | None:
        """Return what a listed segment or the top playlist needs under a name, or None."""
        if rendition == "data":
            return self._variants.asset(name) if self._variants is not None else None
        if rendition == self._lead_name:
            return self.window.listing.asset(name)
        companion = self._companions.get(rendition)
        return companion.listing.asset(name) if companion is not None else None
