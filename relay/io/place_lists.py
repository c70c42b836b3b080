"""Lists of networks from files, by the class whose members they name: VPN, Tor exits, data centres, your own.

Read in this process at the start, when nobody waits; afterwards by a child (`place_list_child`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from relay.io.kept_files import KeptFile
from relay.io.packed_child import child_of, packed
from relay.io.place_list_child import read_list
from relay.place.model import NetworkClass
from relay.place.networks import PACKED, Networks

_CHILD = child_of("relay.io.place_list_child")


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
    head, parts = await packed((*_CHILD, str(path)), PACKED)
    try:
        return PlaceList(head["digest"], Networks.unpack(parts))
    except KeyError:
        raise OSError("the process that reads it has died") from None
