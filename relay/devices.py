"""Which class of device a User-Agent field speaks of (RFC 9110, 10.1.5).

A player inside a page and the machinery that plays for it (AppleCoreMedia, CFNetwork, ExoPlayer) name the same device
in different words; the class is what they have in common. It is a hint that keeps a link from being handed around
between living rooms and phones, and no proof: whoever wants to may write any field.

The rows of `TABLE` are tried in order, the first that fits decides. Order matters: a television with Android names
Android, a tablet names what phones name, Chrome everywhere names Safari.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache

MAX_AGENT_CHARS = 512
"""What counts of the field: real ones have 60 to 250 characters."""


class Device(StrEnum):
    """A class of devices, by the word in the claim `dev`."""

    PHONE = "phone"
    TABLET = "tablet"
    DESKTOP = "desktop"
    TV = "tv"
    APP = "app"
    OTHER = "other"


TABLE: tuple[tuple[str, Device], ...] = (
    # Televisions and what is plugged into them: they name their system, and often a browser as well.
    (
        r"smart-?tv|\bhbbtv\b|\btizen\b|\bweb0s\b|webos\.tv|\bapple ?tv|android ?tv|google ?tv|\bbravia\b|\broku\b"
        r"|\bcrkey\b|\baft[a-z]{1,5}\d?\b|netcast|viera|\bphilipstv\b|playstation|\bxbox\b|nintendo",
        Device.TV,
    ),
    (r"\bipad\b", Device.TABLET),
    (r"\biphone\b|\bipod\b", Device.PHONE),
    # Android without a browser: a library plays. Before the browsers, since some name the phone's model too.
    (r"\bexoplayer|\bandroidxmedia3|\bmedia3\b|\bokhttp\b|\bdalvik\b|\bstagefright\b", Device.APP),
    (r"\bandroid\b.*\bmobile\b|\bwindows phone\b", Device.PHONE),
    (r"\bandroid\b|\bkindle\b|\bsilk\b|\btablet\b", Device.TABLET),
    # Programs that play by themselves.
    (
        r"\blavf/|\bvlc/|\blibvlc\b|\bmpv\b|\bgstreamer\b|\bkodi\b|\bcfnetwork\b|\bdart/|\breact-native|\bffmpeg\b"
        r"|\bnsplayer\b|\bquicktime\b",
        Device.APP,
    ),
    (r"\bmacintosh\b|\bwindows nt\b|\bx11\b|\bcros\b|\blinux x86_64\b", Device.DESKTOP),
)

_ROWS = tuple((re.compile(pattern, re.IGNORECASE), device) for pattern, device in TABLE)


def device_of(agent: str) -> Device:
    """Return the class of device that a User-Agent field speaks of; `Device.OTHER` where none can be told."""
    return _class(agent[:MAX_AGENT_CHARS])


@lru_cache(maxsize=2_048)
def _class(agent: str) -> Device:
    # A player sends the same field with each of its requests.
    for pattern, device in _ROWS:
        if pattern.search(agent):
            return device
    return Device.OTHER
