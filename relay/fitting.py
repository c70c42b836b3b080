"""Whether a showing can stand in another one's place without a player noticing: what it is made of, side by side.

A player goes on with the rendition that it plays, in the same decoder: so there must be a rendition of the same name in
the other, of the same codecs, in the same container, and no segment may be longer than the list has promised
(RFC 8216, 4.3.3.1: the target duration must not change).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kernel.multivariant import MultivariantPlaylist
from kernel.playlist import MediaPlaylist
from relay.playlist import extension
from relay.variants import Variants

MAIN = "main"
"""The name of the one rendition of a showing without a multivariant playlist."""

_DECODED_BY = ("TYPE", "CODECS", "CHANNELS", "VIDEO-RANGE")


@dataclass(frozen=True, slots=True)
class Make:
    """What a showing is made of.

    Args:
        renditions: by our name for each: what a decoder has to know of it, as the origin's playlist says.
        target_duration_s: of its lead, in seconds.
        container: the ending of the lead's segments, empty while there are none.
    """

    renditions: Mapping[str, str]
    target_duration_s: int
    container: str


def make_of(top: MultivariantPlaylist | None, resolve: Callable[[str], str], lead: MediaPlaylist) -> Make:
    """Return what a showing is made of.

    Args:
        top: its multivariant playlist; None: it has one media playlist.
        resolve: turns a URI of `top` into an absolute one.
        lead: the media playlist that is timed.
    """
    renditions = {MAIN: ""}
    if top is not None:
        variants = Variants()
        variants.observe(top, resolve)
        said: dict[str, str] = {}
        for item in top.items:
            if item.uri is not None:
                words = [f"{name} {item.attributes[name]}" for name in _DECODED_BY if name in item.attributes]
                said.setdefault(resolve(item.uri), ", ".join(words))
        renditions = {one.name: said.get(one.ref, "") for one in variants.renditions}
    container = extension(lead.segments[-1].uri) if lead.segments else ""
    return Make(renditions, lead.target_duration_s, container)


def misfit(showing: Make, other: Make) -> str | None:
    """Return why the other cannot stand in the showing's place, None if it can."""
    for name, decoded_by in showing.renditions.items():
        found = other.renditions.get(name)
        if found is None:
            return f"it has no rendition {name}; there are {', '.join(other.renditions)}"
        if found != decoded_by:
            return f"its rendition {name} is {found or 'without codecs'}, not {decoded_by or 'without codecs'}"
    if other.target_duration_s > showing.target_duration_s:
        return f"its segments last up to {other.target_duration_s} s, not {showing.target_duration_s} s"
    if showing.container and other.container and showing.container != other.container:
        return f"its segments are {other.container}, not {showing.container}"
    return None
