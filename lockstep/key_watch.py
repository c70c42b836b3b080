"""Take up changed signing keys and operators while the server runs: the file is looked at twice a second, and on
request (SIGHUP).

Not the webhook secrets: those are of the start, or of the showing that was made since. A file that does not say what
it should is reported once and leaves the keys as they are, so a slip in it never locks the viewers out.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import structlog

from kernel.errors import SettingsError
from lockstep.keys import FILE_NAME, read_keys
from relay.operators import Operator

log = structlog.get_logger("keys")

POLL_S = 0.5
"""A stat(2) every half second costs nothing; `lockstep token rotate` waits several times as long."""

_Stamp = tuple[int, int, int]


class KeyWatch:
    """Watch the keys of a deployment.

    Args:
        data_dir: where `keys.toml` lies.
        take: is handed the signing keys, by key id, whenever they may have changed; what it refuses by SettingsError
            is reported, and counts as never read.
        take_operators: is handed all operators, whenever they may have changed.
        poll_s: seconds between two looks.
    """

    def __init__(
        self,
        data_dir: Path,
        take: Callable[[Mapping[str, bytes]], None],
        *,
        take_operators: Callable[[Sequence[Operator]], None],
        poll_s: float = POLL_S,
    ) -> None:
        self._data_dir = data_dir
        self._take = take
        self._take_operators = take_operators
        self._poll_s = poll_s
        self._asked = asyncio.Event()
        self._stamp: _Stamp | None = None
        self._known: Mapping[str, bytes] = {}
        self._operators: Sequence[Operator] = ()

    def look(self) -> None:
        """Look at the file now."""
        self._asked.set()

    async def run(self) -> None:
        """Watch for ever. The first look is at once: the file may have changed since the start."""
        while True:
            # Cleared before the look: whoever asks during it may know of a change that it misses.
            asked = self._asked.is_set()
            self._asked.clear()
            # The disk may be slow or gone: never on the loop.
            stamp = await asyncio.to_thread(_stamp, self._data_dir / FILE_NAME)
            if stamp != self._stamp or asked:
                self._stamp = stamp
                await self._read()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll_s):
                    await self._asked.wait()

    async def _read(self) -> None:
        try:
            keys = await asyncio.to_thread(read_keys, self._data_dir)
            if list(keys.signing.items()) != list(self._known.items()):
                self._take(keys.signing)
                log.info("keys.accepted", signs=next(iter(keys.signing)), kids=list(keys.signing))
        except SettingsError as error:
            log.error("keys.refused", error=str(error))
            return
        self._known = keys.signing
        operators = keys.known_operators()
        if operators != self._operators:
            self._take_operators(operators)
            self._operators = operators
            log.info("operators.accepted", names=sorted({one.name for one in operators}))


def _stamp(path: Path) -> _Stamp | None:
    try:
        told = path.stat()
    except OSError:
        return None
    return told.st_ino, told.st_mtime_ns, told.st_size
