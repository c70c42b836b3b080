from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from kernel.errors import SettingsError
from relay.io.jwks_file import JwksFile, read_jwks
from relay.jwks import ALGORITHMS, MAX_JWKS_BYTES, IssuerKey
from tests.support.issuer import jwk_of, jwks

PATIENCE_S = 60.0
"""A limit for what hangs, never a measurement."""


class Taker:
    """Be handed keys, and let a test wait for them."""

    def __init__(self) -> None:
        self.taken: asyncio.Queue[list[str]] = asyncio.Queue()

    def __call__(self, keys: Mapping[str, IssuerKey]) -> None:
        self.taken.put_nowait(list(keys))


@asynccontextmanager
async def watching(path: Path, taker: Taker) -> AsyncIterator[None]:
    task = asyncio.create_task(JwksFile(path, ALGORITHMS, taker, poll_s=0.01).run())
    async with asyncio.timeout(PATIENCE_S):
        yield
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def replaced(path: Path, text: bytes) -> None:
    """Write as a careful program does: nobody reads half of it."""
    draft = path.with_suffix(".new")
    draft.write_bytes(text)
    draft.replace(path)


async def test_a_changed_file_is_taken_up(tmp_path: Path) -> None:
    path, taker = tmp_path / "jwks.json", Taker()
    await asyncio.to_thread(replaced, path, jwks())
    async with watching(path, taker):
        assert await taker.taken.get() == ["rsa-1", "ec-1", "ed-1"]
        await asyncio.to_thread(replaced, path, jwks(jwk_of("ES256")))
        assert await taker.taken.get() == ["ec-1"]


@pytest.mark.parametrize("text", [b"", b"{", b'{"keys":[]}', jwks() + b" " * MAX_JWKS_BYTES, None])
async def test_a_slip_in_the_file_leaves_the_keys_as_they_are(tmp_path: Path, text: bytes | None) -> None:
    path, taker = tmp_path / "jwks.json", Taker()
    await asyncio.to_thread(replaced, path, jwks())
    one = JwksFile(path, ALGORITHMS, taker)
    with capture_logs() as logs:
        await one.look()
        assert await taker.taken.get() == ["rsa-1", "ec-1", "ed-1"]
        if text is None:
            await asyncio.to_thread(path.unlink)
        else:
            await asyncio.to_thread(replaced, path, text)
        for _ in range(3):
            await one.look()
        assert taker.taken.empty()
        await asyncio.to_thread(replaced, path, jwks(jwk_of("EdDSA")))
        for _ in range(3):
            await one.look()
        assert await taker.taken.get() == ["ed-1"]
        assert taker.taken.empty()
    # Said once, and naming the file.
    (refused,) = [line for line in logs if line["event"] == "issuer_keys.refused"]
    assert str(path) in refused["error"]


def test_reading(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    with pytest.raises(SettingsError, match="cannot be read"):
        read_jwks(path, ALGORITHMS)
    path.write_bytes(jwks())
    assert list(read_jwks(path, ["ES256"])) == ["ec-1"]
    path.write_bytes(jwks() + b" " * MAX_JWKS_BYTES)
    with pytest.raises(SettingsError, match="longer than 65536"):
        read_jwks(path, ALGORITHMS)
