"""Stand beside a stream, poll its playlists as players do, and hold each copy against RFC 8216."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import httpx2

from tests.support.validator import check_media, check_multivariant, check_renditions, check_succession

LEAD = "v0/index.m3u8"


class Watcher:
    """Poll the gated playlists of one showing until left; `problems` are what was wrong with them.

    Args:
        url: of the top playlist, a token in its path.
    """

    def __init__(self, url: str) -> None:
        self._base = url.removesuffix("index.m3u8")
        self.problems: list[str] = []
        self.copies: dict[str, list[str]] = {}
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if kind is None:
            assert not self.problems, "\n".join(self.problems)
            assert self.copies, "there was never a playlist"

    async def _run(self) -> None:
        async with httpx2.AsyncClient(trust_env=False) as client:
            while True:
                answer = await client.get(f"{self._base}index.m3u8")
                if answer.status_code == 200:
                    names = re.findall(r"\w+/index\.m3u8", answer.text)
                    if names:
                        self._note("index.m3u8", check_multivariant(answer.text))
                        await self._renditions(client, list(dict.fromkeys(names)))
                    else:
                        self._take("index.m3u8", answer.text)
                await asyncio.sleep(0.1)

    async def _renditions(self, client: httpx2.AsyncClient, names: list[str]) -> None:
        # The lead last: what it lists then is at least what it listed when the others were asked for.
        for name in sorted(names, key=LEAD.__eq__):
            answer = await client.get(f"{self._base}{name}")
            if answer.status_code == 200:
                self._take(name, answer.text)
        lead = self.copies.get(LEAD)
        if lead:
            for name, copies in self.copies.items():
                if name != LEAD:
                    self._note(name, check_renditions(lead[-1], copies[-1]))

    def _take(self, name: str, text: str) -> None:
        copies = self.copies.setdefault(name, [])
        if copies and copies[-1] == text:
            return
        self._note(name, check_media(text))
        if copies:
            self._note(name, check_succession(copies[-1], text))
        copies.append(text)

    def _note(self, name: str, found: Sequence[object]) -> None:
        self.problems += [f"{name}: {violation}" for violation in found]
