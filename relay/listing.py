"""What stands in one of the relay's media playlists: it grows at its end, shrinks at its start, and never changes.

Numbers and the discontinuity sequence never fall; what left the list stays available for a while and then goes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from kernel.playlist import MediaPlaylist
from kernel.timeline import SegmentKey
from relay.playlist import Asset, Head, Listed, head_of, head_text, item_text

MIN_WINDOW_TARGETS = 3
"""RFC 8216, 6.2.2: a live list holds at least three target durations."""

STEADY_COPIES = 16
"""The longest of so many of the origin's last lists counts: where segments are not of one length, they breathe."""

ROUNDING_S = 0.01
"""What the sum of a list's EXTINF may lack of what was meant."""


class Listing:
    """Hold the released segments of one rendition.

    Args:
        lead: the leading rendition's, None for that one itself: they go by its length.
    """

    def __init__(self, lead: Listing | None = None) -> None:
        self._lead = lead
        self.prefix = ""
        """Stands before names in the playlist: empty, or a folder with its slash; set before anything is listed."""
        self._items: list[Listed] = []
        # What each item says behind the one before it: a list of 100,000 is not written anew for each segment.
        self._texts: list[str] = []
        self._by_key: dict[SegmentKey, Listed] = {}
        self._assets: dict[str, Asset] = {}
        self._first_shown: SegmentKey | None = None
        self._origin: MediaPlaylist | None = None
        self._head: Head | None = None
        self._text: str | None = None
        self._ended = False
        self._origin_s: deque[float] = deque(maxlen=STEADY_COPIES)
        self._n_shown: int | None = None
        self._held = False
        self._told: str | None = None
        self.revision = 0
        """Rises with every segment that is listed, and every copy of the origin's."""

    @property
    def is_out(self) -> bool:
        """Return whether there is a text."""
        return self._told is not None if self._held else bool(self._items)

    @property
    def is_held(self) -> bool:
        """Return whether a thread is changing it."""
        return self._held

    @property
    def items(self) -> Sequence[Listed]:
        """Return what is out and kept, oldest first."""
        return self._items

    @property
    def head(self) -> Head | None:
        """Return the tags above the segments, None before the first copy."""
        return self._head

    @property
    def first_shown(self) -> SegmentKey | None:
        """Return the first segment that the list shows, None before anything was out."""
        return self._first_shown

    @property
    def origin(self) -> MediaPlaylist | None:
        """Return the origin's newest copy, None before the first."""
        return self._origin

    @property
    def last(self) -> Listed | None:
        """Return the newest listed segment, None before the first."""
        return self._items[-1] if self._items else None

    @property
    def length_s(self) -> float:
        """Return how much the list shows at least, in seconds: whole target durations of what the origin does.

        It depends on as little as can be, so that lists of relays that saw other copies begin alike.
        """
        if self._head is None or not self._origin_s:
            return 0.0
        target_s, longest_s = self._head.target_s, max(self._origin_s)
        length_s = (longest_s + ROUNDING_S) // target_s * target_s
        if self._lead is not None and self._lead.length_s:
            # What lies beside the lead's window, whichever segments of ours begin and end in it.
            length_s = min(length_s, self._lead.length_s - target_s)
        return max(MIN_WINDOW_TARGETS * target_s, length_s)

    def take(self, origin: MediaPlaylist) -> None:
        """Take in a copy of the origin's playlist; its playlist-level tags count at first sight (RFC 8216, 6.2.1)."""
        self._origin = origin
        self.revision += 1
        self._origin_s.append(sum([segment.duration_s for segment in origin.segments]))
        self._n_shown = None
        if self._head is None:
            self._head = head_of(origin)

    def append(self, item: Listed) -> None:
        """List the next segment; nothing is listed behind an end."""
        assert self._head is not None
        if self._ended:
            return
        self.revision += 1
        self._texts.append(item_text(self.last, item, prefix=self.prefix))
        self._items.append(item)
        self._by_key[item.key] = item
        self._assets.update(item.assets)
        # 4.3.3.1 outweighs 6.2.1: the target duration rises for a segment that is longer, and for nothing else.
        self._head.target_s = max(self._head.target_s, int(item.segment.duration_s + 0.5))
        self._text = self._n_shown = None

    def hold(self, *, ended: bool) -> None:
        """Have `text` say what it says now until `release`: a thread is about to list a great many.

        Args:
            ended: as for `text`.
        """
        self._told, self._held = self.text(ended=ended), True

    def release(self) -> None:
        """Say what is listed again."""
        self._told, self._held = None, False

    def find(self, key: tuple[int, int]) -> Listed | None:
        """Return a segment by generation and number that is out and still kept, or None."""
        return self._by_key.get(SegmentKey(*key))

    def asset(self, name: str) -> Asset | None:
        """Return a key, init section or asset list that a kept segment needs, or None."""
        return self._assets.get(name)

    def text(self, *, ended: bool) -> str | None:
        """Return the playlist as it stands, None as long as nothing is out; the same text until something changes.

        Args:
            ended: whether nothing will be added any more. Once it was True the text stays what it then was (6.2.1).
        """
        if self._held:
            return self._told
        if self._head is None or not self._items:
            return None
        if self._text is None or (ended and not self._ended):
            if self._head.kind == "VOD" and not ended:
                # 4.3.3.5: a VOD playlist cannot change; one that is not all out only grows, which is an EVENT.
                self._head.kind = "EVENT"
            self._ended = ended
            first = len(self._items) - self._count_shown()
            self._text = "".join(
                [
                    head_text(self._head, self._items[first]),
                    # The first in the list says all that it needs.
                    item_text(None, self._items[first], prefix=self.prefix),
                    *self._texts[first + 1 :],
                    "#EXT-X-ENDLIST\n" if ended else "",
                ]
            )
        return self._text

    def trim(self) -> None:
        """Forget what left the list long enough ago."""
        if self._origin is None or not self._items:
            return
        # 6.2.2: a segment stays available, after it left the list, as long as the list is plus its own duration.
        keep = 2 * self._count_shown() + 2
        if len(self._items) > keep:
            gone = self._items[:-keep]
            for item in gone:
                del self._by_key[item.key]
            del self._items[:-keep]
            del self._texts[:-keep]
            if any(item.assets for item in gone):
                self._assets = dict(pair for item in self._items for pair in item.assets)

    def _count_shown(self) -> int:
        """Return how many segments the list has; the first of them never goes back."""
        if self._n_shown is not None:
            return self._n_shown
        assert self._head is not None
        wanted_s = self.length_s
        count, length_s = 0, 0.0
        for item in reversed(self._items):
            enough = length_s >= wanted_s and not self._head.whole
            # 6.2.2: what was removed from a list never comes back, or its media sequence number would fall.
            if enough or (self._first_shown is not None and item.key < self._first_shown):
                break
            count += 1
            length_s += item.segment.duration_s
            if item.broken:
                break
        self._first_shown = self._items[-count].key
        self._n_shown = count
        return count
