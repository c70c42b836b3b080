"""The keys of the audit, one for each day (UTC), each in a file of its own; owner of AES-GCM.

A key is 32 random bytes, mode 0600, in the folder `keys`; all processes that write into the same folder share it. To
destroy it is to overwrite it, force that to disk, and remove the file. There is no write-ahead log and no page of a
database in which it could live on; what a copy-on-write file system, a snapshot or a backup of that folder has kept is
out of our reach, so the folder belongs into no backup.
"""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kernel.errors import DecodeError
from kernel.io.system_time import new_id, new_key

if TYPE_CHECKING:
    from pathlib import Path

log = structlog.get_logger("audit")

KEYS = "keys"
"""The folder, beside the chains."""

KEY_BYTES = 32
NONCE_BYTES = 12
"""SP 800-38D, 8.2.2: random; at most 2**32 under one key, and there are a few hundred thousand blocks a day."""

_DAY_S = 86_400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SUFFIX = ".key"


class DayKeys:
    """Seal and open what is personal, by the key of a day; a day is counted from 1970.

    Args:
        folder: where the keys are; made when the first one is.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[int, AESGCM] = {}

    def seal(self, day: int, plain: bytes, bound_to: bytes) -> bytes:
        """Encrypt with the key of a day, which is made if there is none.

        Raises:
            OSError: it cannot be kept.
        """
        cipher = self._cipher(day)
        if cipher is None:
            self._make(day)
            cipher = self._cipher(day)
            assert cipher is not None
        nonce = new_key(NONCE_BYTES)
        return nonce + cipher.encrypt(nonce, plain, bound_to)

    def has(self, day: int) -> bool:
        """Return whether what was sealed on a day can still be opened."""
        return self._cipher(day) is not None

    def unseal(self, day: int, sealed: bytes, bound_to: bytes) -> bytes:
        """Decrypt with the key of a day, which is there.

        Raises:
            DecodeError: it is not what was sealed.
        """
        cipher = self._cipher(day)
        if cipher is None:
            raise DecodeError("its key is destroyed")
        try:
            return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound_to)
        except (InvalidTag, ValueError):
            raise DecodeError("what was sealed was changed, or its key was") from None

    def destroy(self, now: float, retention_days: int) -> list[str]:
        """Destroy the keys of days that ended `retention_days` or more before `now`, and return those days.

        Args:
            now: Unix time in seconds.
            retention_days: how long inputs can be read after their day.

        Raises:
            OSError: a key could not be overwritten or removed: it is tried again next time.
        """
        last = int(now // _DAY_S) - 1 - retention_days
        # Another process may have removed the file.
        self._known = {day: cipher for day, cipher in self._known.items() if day > last}
        gone: list[str] = []
        for path in sorted(self._folder.glob("*" + _SUFFIX)):
            day = _day_of(path)
            if day is not None and day <= last:
                _overwrite(path)
                gone.append(path.stem)
        if gone:
            sync_folder(self._folder)
        return gone

    def _cipher(self, day: int) -> AESGCM | None:
        path = self._path(day)
        known = self._known.get(day)
        if known is not None:
            return known
        try:
            key = path.read_bytes()
        except FileNotFoundError:
            return None
        if len(key) != KEY_BYTES:
            log.error("audit.key_damaged", day=path.stem)
            return None
        cipher = self._known[day] = AESGCM(key)
        return cipher

    def _make(self, day: int) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft, path = self._folder / f"{new_id(8)}.new", self._path(day)
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                os.write(descriptor, new_key(KEY_BYTES))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            # Whole or not at all, and where another process was quicker its key is the key.
            with suppress(FileExistsError):
                os.link(draft, path)
        finally:
            draft.unlink(missing_ok=True)
        sync_folder(self._folder)

    def _path(self, day: int) -> Path:
        return self._folder / f"{(_EPOCH + timedelta(days=day)).date().isoformat()}{_SUFFIX}"


def _day_of(path: Path) -> int | None:
    try:
        return (datetime.fromisoformat(path.stem).replace(tzinfo=UTC) - _EPOCH).days
    except ValueError:
        return None


def _overwrite(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, bytes(KEY_BYTES))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    path.unlink()


def sync_folder(folder: Path) -> None:
    """Force to disk which files there are in a folder.

    Raises:
        OSError: that failed.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
