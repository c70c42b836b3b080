"""What is on its way to who joins or is behind, in pieces of about 8 KiB, made once for all who are owed it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hub.state import State
from kernel.strict_json import encode
from kernel.timeline import BEGINNING, END, MediaTime

if TYPE_CHECKING:
    from kernel.cues import Entry


BATCH = 20
"""How many cues are written at a time to who is behind: about 8 KiB of plays, and no more than a turn should take."""


ABOVE_ANY_FLOOR = -1


class Batch:
    """Some cues for one who is behind, and their joined frames by format: shared by all who are owed the same.

    `floor` is the version of the floors that they were held against, None if they were not. `passed` is the frontier
    at which the guard let them go; frontiers never go back.
    """

    __slots__ = ("entries", "floor", "frames", "passed")

    def __init__(self, entries: tuple[Entry, ...], floor: int | None) -> None:
        self.entries = entries
        self.floor = floor
        self.frames: dict[str, tuple[bytes, int]] = {}
        self.passed: MediaTime | None = None


def batches(entries: Sequence[Entry], floor: int | None = None) -> list[Batch]:
    """Return entries in batches; `floor` as there."""
    return [Batch(tuple(entries[first : first + BATCH]), floor) for first in range(0, len(entries), BATCH)]


class Message:
    """A map that goes to several, and its frames by format, made when first asked for."""

    __slots__ = ("frames", "map")

    def __init__(self, message: Mapping[str, Any]) -> None:
        self.map = message
        self.frames: dict[str, bytes] = {}


def snapshot(state: State, upto: MediaTime, cur: str, piece_bytes: int) -> list[Message]:
    """Return the `snap` messages of a state as of the frontier `upto`; there is at least one.

    Args:
        state: what is told.
        upto: the frontier that it is the state of.
        cur: the cursor from which cues follow.
        piece_bytes: about how large a piece may be; a single market larger than that goes alone.
    """
    pieces: list[dict[str, Any]] = [{}]
    size = 0
    for section, key, value in state.atoms():
        atom_bytes = len(encode(value)) + len(key) + 4
        if size and size + atom_bytes > piece_bytes:
            pieces.append({})
            size = 0
        size += atom_bytes
        if section == "floor":
            pieces[-1]["floor"] = value
        elif section:
            pieces[-1].setdefault(section, {})[key] = value
        else:
            pieces[-1][key] = value
    as_of = None if upto in (BEGINNING, END) else {"tl": upto.timeline, "pts": upto.pts}
    shared = {"as_of": as_of, "hash": state.hash(), "cur": cur}
    return [
        Message({"op": "snap", "i": number, "n": len(pieces), **shared, "state": piece})
        for number, piece in enumerate(pieces, start=1)
    ]
