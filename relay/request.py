"""What an HLS request names: token, showing, and what of it. Paths are matched, never decoded or joined.

/hls/{token}/{event_id}/index.m3u8              /hls/{event_id}/index.m3u8
.../{rendition}/index.m3u8                      a rendition of a multivariant playlist
.../{rendition}/{generation}-{msn}.ts           a segment
.../{rendition}/{tag}-{generation}-{msn}.ts     one of a redirect stream, for those inside a blackout
.../{rendition}/key-{digest}.bin, init-...      what segments need; data/... what the multivariant playlist names
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from kernel.showings import EVENT_ID
from kernel.timeline import SegmentKey

COOKIE = "lockstep_token"
"""The cookie that may hold the token."""

MAX_PATH_CHARS = 8_192
"""A token is at most 4 KiB; nginx and Apache take request lines of 8 KiB."""

_RENDITION = re.compile(r"main|data|[vawsic](?:0|[1-9]\d{0,3})")
_SEGMENT = re.compile(r"(?:([0-9a-f]{8})-)?(0|[1-9]\d{0,17})-(0|[1-9]\d{0,17})\.[a-z0-9]{1,5}")
_ASSET = re.compile(r"(?:key|init|data|list)-[0-9a-f]{16}\.[a-z0-9]{1,5}")

Kind = Literal["playlist", "segment", "asset"]


@dataclass(frozen=True, slots=True)
class HlsRequest:
    """A well-formed request.

    `token` is the path's, if it holds one. `rendition` is None for the top playlist; `key` names a segment, `name` an
    asset. `tag` tells of which redirect stream a segment is, None for the showing's own.
    """

    event_id: str
    token: str | None
    kind: Kind
    rendition: str | None = None
    key: SegmentKey | None = None
    name: str = ""
    tag: str | None = None


def parse_path(raw_path: str) -> HlsRequest | None:
    """Return what a path names, or None if nothing of ours looks like that.

    Args:
        raw_path: as it came, percent-encoding and all: none of our names needs any, so what has some is not ours.
    """
    if len(raw_path) > MAX_PATH_CHARS or not raw_path.startswith("/hls/"):
        return None
    parts = raw_path.split("/")[2:]
    token: str | None = None
    if parts and parts[0].count(".") == 2:
        # An event id holds no dot, so the two dots of a JWT tell one from the other.
        token, *parts = parts
    if len(parts) < 2 or not EVENT_ID.fullmatch(parts[0]):
        return None
    event_id, *rest = parts
    if rest == ["index.m3u8"]:
        return HlsRequest(event_id, token, "playlist")
    if len(rest) != 2 or not _RENDITION.fullmatch(rest[0]):
        return None
    rendition, name = rest
    if name == "index.m3u8":
        return HlsRequest(event_id, token, "playlist", rendition)
    if match := _SEGMENT.fullmatch(name):
        key = SegmentKey(int(match[2]), int(match[3]))
        return HlsRequest(event_id, token, "segment", rendition, key, tag=match[1])
    return HlsRequest(event_id, token, "asset", rendition, name=name) if _ASSET.fullmatch(name) else None
