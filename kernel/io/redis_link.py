"""One connection to Redis; the one owner of redis-py.

redis-py's own client is not used: by default it waits five seconds and tries ten times, so that a call into a black
hole lasts a minute (redis-py 8.1). A link sends commands and reads as many answers, within a time of ours, once; what
failed is the caller's to try again, who knows what may be repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError

from kernel.errors import BusUnavailable, SettingsError
from kernel.io.redis_outbox import Command
from kernel.io.redis_tenure import Tenure

CALL_TIMEOUT_S = 0.4
"""How long any call but a waiting read may take: a Redis beside us answers within a millisecond."""

OLD_ID = "equal or smaller than the target stream top item"
"""What Redis says of an entry whose id is taken or passed."""


class RedisLink:
    """A connection that is made when it is needed, and made anew after a failure.

    Args:
        url: `redis://`, `rediss://` or `unix://`, with user, password and database as redis-py reads them.

    Raises:
        SettingsError: it is no such URL. The text does not hold the password.
    """

    def __init__(self, url: str) -> None:
        try:
            options: dict[str, Any] = dict(parse_url(url))
            kind = options.pop("connection_class", Connection)
            options |= {
                "socket_timeout": None,  # ours is around the whole call
                "socket_connect_timeout": CALL_TIMEOUT_S,
                "retry": Retry(NoBackoff(), 0),
                "protocol": 3,
                "legacy_responses": False,
                "health_check_interval": 0,
                "driver_info": None,  # it would read our package's files at each connection
            }
            assert kind in (Connection, SSLConnection, UnixDomainSocketConnection)
            self._connection = kind(**options)
        except (ValueError, TypeError):
            raise SettingsError(
                "the bus is no Redis: write redis://[:PASSWORD@]HOST[:PORT][/DATABASE], or rediss:// for TLS"
            ) from None

    async def call(self, *commands: Command, timeout_s: float = CALL_TIMEOUT_S) -> list[Any]:
        """Send commands in one go and return their answers; an answer may be a `ResponseError`.

        Args:
            commands: each a tuple of its words.
            timeout_s: how long all of it may take, in seconds.

        Raises:
            BusUnavailable: there is no connection, or no answer in time; whether they took effect is not known.
        """
        connection = self._connection
        try:
            async with asyncio.timeout(timeout_s):
                await connection.connect()
                await self._send(commands)
                return [await self._answer() for _ in commands]
        except (RedisError, OSError, TimeoutError) as error:
            await self.aclose()
            raise BusUnavailable(f"Redis: {str(error) or 'no answer in time'}") from None
        except BaseException:
            # Half an answer may be under way: the next call must not take it for its own.
            await self.aclose()
            raise

    async def transact(self, commands: Sequence[Command], *, tenure: Tenure | None = None) -> None:
        """Let commands take effect all or none, in their order; an entry whose id is taken or passed counts as done.

        Args:
            commands: each a tuple of its words.
            tenure: without which none of them may; then those before one that fails have taken effect.

        Raises:
            BusUnavailable: they did not, as far as is known.
        """
        if tenure is not None:
            (fault,) = await self.call(tenure.guarded(commands, passed_over=OLD_ID))
            if fault:
                await self.aclose()
                raise BusUnavailable(f"Redis refuses: {fault.decode() if isinstance(fault, bytes) else fault}")
            return
        *_, done = await self.call(("MULTI",), *commands, ("EXEC",))
        faults = [done] if isinstance(done, ResponseError) else [one for one in done if isinstance(one, ResponseError)]
        for fault in faults:
            if OLD_ID not in str(fault):
                await self.aclose()
                raise BusUnavailable(f"Redis refuses: {fault}")

    async def hold(self, tenure: Tenure, *, begin: bool, now: float) -> float | None:
        """Ask for a tenure, or renew it; return None if it is ours, else how long the other's lease lasts, in seconds.

        Args:
            tenure: takes note of the answer.
            begin: whether it is asked for the first time.
            now: of the caller's steady clock, in seconds.

        Raises:
            BusUnavailable: it is not known.
        """
        (answer,) = await self.call(tenure.begin() if begin else tenure.keep())
        if is_refusal(answer):
            await self.aclose()
            raise BusUnavailable(f"Redis refuses: {answer}")
        return tenure.take_in(answer, asked=now)

    async def aclose(self) -> None:
        """Drop the connection."""
        await self._connection.disconnect(nowait=True)

    async def _send(self, commands: Sequence[Command]) -> None:
        connection = self._connection
        try:
            await connection.send_packed_command(connection.pack_commands(commands), check_health=False)
        except RuntimeError as error:
            # What uvloop raises for a write on a connection that it knows to be dead, where asyncio has an OSError.
            raise ConnectionResetError("the connection is dead") from error

    async def _answer(self) -> Any:
        try:
            return await self._connection.read_response(disable_decoding=True, disconnect_on_error=False)
        except ResponseError as error:
            return error


def address_of(url: str) -> str:
    """Return where a bus is, fit for a log: without user and password."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}{parts.path}"


def is_refusal(answer: object) -> bool:
    """Tell whether an answer is an error."""
    return isinstance(answer, ResponseError)


def is_unknown_script(answer: object) -> bool:
    """Tell whether an answer says that Redis does not know a script by its SHA-1."""
    return isinstance(answer, NoScriptError)
