"""Boxes of ISO base media files (ISO/IEC 14496-12, 4.2): walk them without trusting a size or a count.

A box is a length, four characters and a payload, which may be boxes again. `Walk` bounds how many are looked at in one
file. Nothing here recurses: how deep a reader goes is written in the reader, never in the file.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from kernel.errors import MediaError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BOXES = 20_000
"""An init section has some fifty; a segment of ten seconds in fragments of one frame has ten a fragment and track."""

_SIZE_AND_KIND = struct.Struct(">I4s")
_LARGE_SIZE = struct.Struct(">Q")
_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")


class Box(NamedTuple):
    """One box: its four characters, and where its payload begins and ends in the file."""

    kind: bytes
    start: int
    end: int


def name(kind: bytes) -> str:
    """Return four characters for a message: plain ASCII, whatever they are."""
    return ascii(kind.decode("latin-1"))


class Walk:
    """Read one file, an init section or a segment.

    Args:
        data: all of it.
        max_boxes: how many may be looked at.
    """

    def __init__(self, data: bytes, *, max_boxes: int = MAX_BOXES) -> None:
        self.data = data
        self._left = max_boxes
        self._max_boxes = max_boxes

    def top(self) -> Iterator[Box]:
        """Walk the boxes of the file itself.

        Raises:
            MediaError: a size is none, or there are too many boxes.
        """
        return self._walk(0, len(self.data), top=True)

    def inside(self, box: Box, *, skip_bytes: int = 0) -> Iterator[Box]:
        """Walk the boxes in a box's payload.

        Args:
            box: the outer one.
            skip_bytes: what stands before the first of them, such as the fields of a sample entry.

        Raises:
            MediaError: as `top`.
        """
        return self._walk(min(box.start + skip_bytes, box.end), box.end, top=False)

    def child(self, box: Box, kind: bytes, *, skip_bytes: int = 0) -> Box | None:
        """Return the first box of a kind in another's payload, None if there is none."""
        return next((inner for inner in self.inside(box, skip_bytes=skip_bytes) if inner.kind == kind), None)

    def path(self, box: Box, *kinds: bytes) -> Box | None:
        """Return the box that a chain of kinds leads to, the first of each; None if one is missing."""
        found: Box | None = box
        for kind in kinds:
            found = None if found is None else self.child(found, kind)
        return found

    def u32(self, box: Box, at: int) -> int:
        """Return 32 bits unsigned at an offset in a box's payload; raises MediaError beyond its end."""
        return int(_U32.unpack_from(self.data, self.span(box, at, 4))[0])

    def u64(self, box: Box, at: int) -> int:
        """Return 64 bits unsigned at an offset in a box's payload; raises MediaError beyond its end."""
        return int(_U64.unpack_from(self.data, self.span(box, at, 8))[0])

    def span(self, box: Box, at: int, length: int) -> int:
        """Return where an offset in a box's payload lies in the file; raises MediaError unless `length` bytes do."""
        start = box.start + at
        if start + length > box.end:
            raise MediaError(f"box {name(box.kind)} is cut short: {box.end - box.start} bytes, {at + length} are meant")
        return start

    def _walk(self, at: int, end: int, *, top: bool) -> Iterator[Box]:
        # Fewer than eight bytes are no box; some muxers pad their boxes with a zero word.
        while end - at >= _SIZE_AND_KIND.size:
            self._left -= 1
            if self._left < 0:
                raise MediaError(f"more than {self._max_boxes} boxes")
            box, at = self._box(at, end, top=top)
            yield box

    def _box(self, at: int, end: int, *, top: bool) -> tuple[Box, int]:
        size, kind = _SIZE_AND_KIND.unpack_from(self.data, at)
        head = _SIZE_AND_KIND.size
        if size == 1:
            # 4.2: size 1 means that 64 bits follow.
            head += _LARGE_SIZE.size
            if end - at < head:
                raise MediaError(f"box {name(kind)} at byte {at} is cut short in its size")
            (size,) = _LARGE_SIZE.unpack_from(self.data, at + _SIZE_AND_KIND.size)
        elif size == 0 and top:
            # 4.2: size 0 means to the end of the file, which only an outermost box can reach.
            size = end - at
        if size < head:
            raise MediaError(f"box {name(kind)} at byte {at} says that it has {size} bytes, fewer than its own head")
        if size > end - at:
            raise MediaError(
                f"box {name(kind)} at byte {at} says that it has {size} bytes where {end - at} are left: cut short?"
            )
        return Box(kind, at + head, at + size), at + size
