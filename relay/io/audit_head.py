"""The end of a chain, noted in a file beside it: so that a chain that lost its end is found out.

The note is written once the block is on disk, in place and in one call; a process that is killed leaves the old one or
the new one. It is not synchronised each time: it may be behind the chain, which goes on beyond it, never ahead of it.
"""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

_LINE_BYTES = 160


class ChainHead(NamedTuple):
    """How far a chain reaches.

    Args:
        chain: its name.
        n_records: how many records it has.
        size: how long its file is, in bytes.
        link: with what its last block closes.
    """

    chain: str
    n_records: int
    size: int
    link: bytes


def write_head(path: Path, head: ChainHead) -> None:
    """Note the end of a chain.

    Raises:
        OSError: it cannot be written.
    """
    text = f"{head.chain} {head.n_records} {head.size} {head.link.hex()}"
    line = f"{text} {zlib.crc32(text.encode()):08x}".ljust(_LINE_BYTES - 1) + "\n"
    is_new = not path.exists()
    handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.pwrite(handle, line.encode(), 0)
        if is_new:
            os.fsync(handle)
    finally:
        os.close(handle)


def read_head(path: Path) -> ChainHead | None:
    """Return what was noted; None where there is no note, or it cannot be read."""
    try:
        text, _, check = path.read_text("ascii").strip().rpartition(" ")
        chain, count, size, link = text.split(" ")
        head = ChainHead(chain, int(count), int(size), bytes.fromhex(link))
    except (OSError, ValueError):
        return None
    return head if f"{zlib.crc32(text.encode()):08x}" == check else None
