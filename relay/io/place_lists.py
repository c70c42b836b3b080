"""Lists of networks from files, by the class whose members they name: VPN, Tor exits, data centres, your own.

Read in this process at the start, when nobody waits; afterwards by a child (`place_list_child`), whose answer is taken
in slices of 256 KiB, so that a list of any size costs the loop nothing that anybody notices.
"""

from __future__ import annotations

import asyncio
import json
import sys
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from kernel.errors import DecodeError
from relay.io.kept_files import KeptFile
from relay.io.place_list_child import read_list
from relay.place.model import NetworkClass
from relay.place.networks import PACKED, Networks

TIMEOUT_S = 120.0
"""Two million lines take three seconds on a machine that has nothing else to do."""

_SLICE_BYTES = 256 << 10
# -I: no PYTHON* variables, no current folder on the path.
_CHILD = (sys.executable, "-I", "-B", "-m", "relay.io.place_list_child")


class PlaceList(NamedTuple):
    """What a list says. `digest` is that of the file's bytes: SHA-256, its first 16 digits."""

    digest: str
    networks: Networks

    def __str__(self) -> str:
        return f"{self.digest}, {len(self.networks)} network(s)"


class PlaceLists:
    """The lists of a process: open them at the start, look after them while it runs.

    Args:
        paths: by the class whose members they name.
    """

    def __init__(self, paths: Mapping[NetworkClass, Sequence[Path]]) -> None:
        self.files = [
            (member, KeptFile(str(member), path, _read, _reread)) for member, files in paths.items() for path in files
        ]

    def open(self) -> None:
        """Read all of them, waiting for the disk.

        Raises:
            SettingsError: one cannot be read, or is not what it should be; the message names the line.
        """
        for _, file in self.files:
            file.open()

    async def look(self) -> bool:
        """Take up those whose files have changed; return whether there were any."""
        changed = [await file.look() is not None for _, file in self.files]
        return any(changed)

    def networks(self) -> list[tuple[NetworkClass, Networks]]:
        """Return what is in use, list by list; those without a network are left out."""
        return [
            (member, file.value.networks) for member, file in self.files if file.is_open and len(file.value.networks)
        ]


def _read(path: Path) -> PlaceList:
    return PlaceList(*read_list(path))


async def _reread(path: Path) -> PlaceList:
    child = await asyncio.create_subprocess_exec(
        *_CHILD, str(path), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert child.stdout is not None
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await _taken(child.stdout, path)
    except TimeoutError:
        raise OSError(f"reading it took more than {TIMEOUT_S:.0f} s") from None
    except (ValueError, KeyError, TypeError, EOFError):
        # EOFError: IncompleteReadError is one.
        raise OSError("the process that reads it has died") from None
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


async def _taken(answer: asyncio.StreamReader, path: Path) -> PlaceList:
    head = json.loads(await answer.readline())
    if "wrong" in head:
        raise DecodeError(head["wrong"])
    if "failed" in head:
        raise OSError(f"{path}: {head['failed']}")
    parts = [array(code) for code in PACKED]
    for part, size in zip(parts, head["pieces"], strict=True):
        for at in range(0, size, _SLICE_BYTES):
            part.frombytes(await answer.readexactly(min(_SLICE_BYTES, size - at)))
    return PlaceList(head["digest"], Networks.unpack(parts))
