"""The file with another issuer's public keys: read at the start, and taken up again whenever it changes.

A file that is gone, too large or no key set is reported once and leaves the keys as they are: a slip in it never locks
anybody out, and a key stays until a good file no longer names it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import structlog

from kernel.errors import SettingsError
from relay.jwks import MAX_JWKS_BYTES, IssuerKey, parse_jwks

log = structlog.get_logger("issuer_keys")

POLL_S = 2.0
"""Issuers announce a key hours before they sign with it; whoever takes one out wants it gone soon."""

_Stamp = tuple[int, int, int]


class JwksFile:
    """Watch a file of public keys.

    Args:
        path: where it lies.
        algorithms: what tokens may be signed by.
        take: is handed the keys, by key id, whenever they may have changed.
        poll_s: seconds between two looks.
    """

    def __init__(
        self,
        path: Path,
        algorithms: Sequence[str],
        take: Callable[[Mapping[str, IssuerKey]], None],
        *,
        poll_s: float = POLL_S,
    ) -> None:
        self._path = path
        self._algorithms = algorithms
        self._take = take
        self._poll_s = poll_s
        self._looked = False
        self._stamp: _Stamp | None = None

    async def run(self) -> None:
        """Watch for ever. The first look is at once: the file may have changed since the start."""
        while True:
            await self.look()
            await asyncio.sleep(self._poll_s)

    async def look(self) -> None:
        """Look at the file; read it if it is not the one that was read last."""
        # The disk may be slow or gone: never on the loop.
        stamp = await asyncio.to_thread(_stamp, self._path)
        if not self._looked or stamp != self._stamp:
            self._looked, self._stamp = True, stamp
            await self._read()

    async def _read(self) -> None:
        try:
            keys = await asyncio.to_thread(read_jwks, self._path, self._algorithms)
        except SettingsError as error:
            log.error("issuer_keys.refused", error=str(error))
            return
        self._take(keys)
        log.info("issuer_keys.accepted", kids=[kid[:64] for kid in keys])


def read_jwks(path: Path, algorithms: Sequence[str]) -> dict[str, IssuerKey]:
    """Return the keys in a file, by key id.

    Raises:
        SettingsError: it cannot be read, is larger than 64 KiB, or is no set of keys that can be used.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_JWKS_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"the issuer's keys in {path} cannot be read: {error.strerror or error}") from error
    try:
        return parse_jwks(text, algorithms)
    except SettingsError as error:
        raise SettingsError(f"the issuer's keys in {path}: {error}") from None


def _stamp(path: Path) -> _Stamp | None:
    try:
        told = path.stat()
    except OSError:
        return None
    return told.st_ino, told.st_mtime_ns, told.st_size
