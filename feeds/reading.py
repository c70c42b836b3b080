"""Which reader is for which bytes.

Neither the name of a segment nor what a server calls it is asked: both are often wrong, and the formats tell themselves
apart by their first bytes (RFC 8216, 3.2 to 3.4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from feeds.fmp4 import read_segment
from feeds.packed_audio import is_packed_audio, read_packed_audio
from feeds.ts import SYNC
from kernel.errors import MediaError

if TYPE_CHECKING:
    from feeds.fmp4_init import Fmp4Init
    from feeds.media import Container, SegmentMedia

# What a file or segment begins with; `moof` must come, but much may stand before it.
_FIRST_BOXES = {
    b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"sidx", b"ssix", b"emsg", b"prft", b"free", b"skip", b"wide",
    b"uuid", b"meta", b"pdin", b"mfra",
}  # fmt: skip


def container_of(body: bytes) -> Container:
    """Return what a segment is, by its first bytes; what nothing else claims is for the reader of transport streams."""
    if body[:1] == bytes([SYNC]):
        return "mpegts"
    if is_boxes(body):
        return "fmp4"
    if is_packed_audio(body):
        return "packed_audio"
    return "mpegts"


def is_boxes(body: bytes) -> bool:
    """Tell whether bytes begin with a box of ISO/IEC 14496-12."""
    return body[4:8] in _FIRST_BOXES


def read(body: bytes, init: Fmp4Init | None = None) -> SegmentMedia | None:
    """Time a segment, or return None if it is for the reader of transport streams, which is another process.

    Args:
        body: all of it, in the clear.
        init: its init section, if it has one.

    Raises:
        MediaError: it cannot be timed.
    """
    container = container_of(body)
    if container == "fmp4":
        return read_segment(body, init)
    if init is not None:
        raise MediaError("its playlist names an fMP4 init section (EXT-X-MAP), and it is no fMP4 segment")
    return read_packed_audio(body) if container == "packed_audio" else None
