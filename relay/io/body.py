"""Send a body in steps, each only while its grant still holds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from relay.io.turns import Turns

STEP_BYTES = 256 * 1024
"""Between two looks at the grant. Measured: 0.88 to 0.99 of nginx; with 64 KiB 0.36 to 0.75."""


class GrantedBody(Response):
    """A response whose body ends where its grant ends.

    Args:
        content: the body, sent without being copied.
        granted: looked at before every step; once it says no, the connection closes short of Content-Length, so that
            no client takes the piece for the whole.
        cut: cuts the connection where the grant ends: what waits in it was granted, and is no more. None: the server
            closes it, and takes the unfinished answer for a fault of ours.
        turns: waited for before every step.
        done: is told once, at the end, how many bytes went out; not where there were none.
        is_here: whether the connection still is; a server takes what it is given for one that has gone, and drops it.
        status_code: 200 or 206.
        headers: all but Content-Length.
        whole_bytes: how large the whole is of which it may be a piece; None: it is no piece.

    `pace`, where it is set, is told how large the next step is, and says how long that has to wait, in seconds.
    """

    def __init__(
        self,
        content: memoryview,
        *,
        granted: Callable[[], bool],
        turns: Turns,
        done: Callable[[int], None] | None = None,
        is_here: Callable[[], bool] | None = None,
        cut: Callable[[], None] | None = None,
        status_code: int,
        headers: Mapping[str, str],
        whole_bytes: int | None = None,
    ) -> None:
        super().__init__(b"", status_code, {**headers, "content-length": str(len(content))})
        self._content = content
        self._granted = granted
        self._turns = turns
        self._done = done
        self._is_here = is_here
        self._cut = cut
        self.whole_bytes = len(content) if whole_bytes is None else whole_bytes
        self.pace: Callable[[int], float] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the head, then the body step by step."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        length = len(self._content)
        if scope["method"] == "HEAD" or not length:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        stop = 0
        try:
            for start in range(0, length, STEP_BYTES):
                end = min(start + STEP_BYTES, length)
                if self.pace is not None and (wait_s := self.pace(end - start)) > 0:
                    await asyncio.sleep(wait_s)
                    if self._is_here is not None and not self._is_here():
                        return
                await self._turns.next()
                if not self._granted():
                    await self._end(receive)
                    return
                await send({"type": "http.response.body", "body": self._content[start:end], "more_body": True})
                if self._is_here is None or self._is_here():
                    stop = end
            # The server waits with this one until it has got rid of nearly all before it: while a slow client still
            # reads, the answer is not over, and the connection stays bound to its grant.
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            if stop and self._done is not None:
                self._done(stop)

    async def _end(self, receive: Receive) -> None:
        """Cut the connection, and wait until the server knows."""
        if self._cut is not None:
            self._cut()
            while (await receive())["type"] != "http.disconnect":
                pass
