"""Write the relay's multivariant playlist (RFC 8216, 4.3.4): the origin's lines, every URI under a name of our own.

A rendition's name is its place at first sight: `v0`, `v1`, ... for variants, `a0` audio, `s0` subtitles, `w0` video
renditions, `i0` I-frame playlists. The same URI keeps its name, however often it stands in the list and whatever
order a later copy has.
"""

from __future__ import annotations

from dataclasses import dataclass

from kernel.attributes import with_attribute
from kernel.multivariant import Item, MultivariantPlaylist
from relay.playlist import Asset, Resolve, asset_name, fetchable
from relay.rewriting import rewrite_uris

_LETTERS = {"video": "w", "audio": "a", "subtitles": "s", "closed-captions": "c", "iframe": "i"}

MAX_RENDITIONS = 200
"""Media playlists followed for one stream: a ladder of ten in four codecs, thirty languages, and room."""


@dataclass(frozen=True, slots=True)
class Rendition:
    """A media playlist of the stream: our name, its absolute URI, and whether it is the one that feeds times.

    `picture` says whether what is watched is in it: the programme's picture, from whatever angle.
    """

    name: str
    ref: str
    lead: bool
    picture: bool = False


class Variants:
    """Keep the names of a stream's renditions and its multivariant playlist."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._assets: dict[str, Asset] = {}
        self._text: str | None = None
        self.renditions: tuple[Rendition, ...] = ()

    def text(self) -> str | None:
        """Return the multivariant playlist, None before the first copy."""
        return self._text

    def asset(self, name: str) -> Asset | None:
        """Return the session data or session key of a name, or None."""
        return self._assets.get(name)

    def observe(self, playlist: MultivariantPlaylist, resolve: Resolve) -> None:
        """Take in a copy of the origin's multivariant playlist.

        Args:
            playlist: the copy.
            resolve: turns a URI of this copy into an absolute one.
        """
        lead = resolve(playlist.lead.uri or "")
        refs: dict[str, bool] = {lead: False}
        self._assets = {}
        lines = ["#EXTM3U"]
        for item in playlist.items:
            ref = self._ref(item, resolve)
            if ref is not None and (ref in refs or len(refs) < MAX_RENDITIONS):
                refs[ref] = refs.get(ref, False) or item.kind == "video"
                lines.extend(self._named(item, ref))
            elif ref is None:
                lines.extend(self._other(item, playlist, resolve))
        self.renditions = tuple(Rendition(self._names[ref], ref, ref == lead, picture) for ref, picture in refs.items())
        self._text = "\n".join(lines) + "\n"

    def _ref(self, item: Item, resolve: Resolve) -> str | None:
        """Return the media playlist that an item names, None if it names none."""
        if item.uri is None or item.role not in ("variant", "rendition", "iframe"):
            return None
        ref = resolve(item.uri)
        if ref not in self._names:
            letter = "v" if item.role == "variant" else _LETTERS[item.kind or "video"]
            number = self._counts.get(letter, 0)
            self._counts[letter] = number + 1
            self._names[ref] = f"{letter}{number}"
        return ref

    def _named(self, item: Item, ref: str) -> list[str]:
        ours = f"{self._names[ref]}/index.m3u8"
        line = rewrite_uris(item.lines[0], lambda _, __: ours)
        if line is None:
            return []
        return [line, ours] if item.role == "variant" else [with_attribute(line, "URI", ours)]

    def _other(self, item: Item, playlist: MultivariantPlaylist, resolve: Resolve) -> list[str]:
        def gate(_: str, uri: str) -> str | None:
            found = fetchable(item.uri or uri, resolve)
            if found is None:
                return None
            is_key = item.role == "session_key"
            asset = Asset(found, is_key=is_key)
            name = asset_name("key" if is_key else "data", asset)
            self._assets[name] = asset
            return f"data/{name}"

        if item.role == "session_key" and fetchable(item.uri or "", resolve) is None:
            return list(item.lines)  # Only a player's DRM understands it.
        return [line for line in (rewrite_uris(text, gate) for text in item.lines) if line is not None]
