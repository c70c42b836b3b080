"""Vendors' front door: `POST /api/v1/feeds/{source}` with Standard Webhooks.

A message is believed (signature), understood (strict decoder, adapter), put on disk (journal), and only then
acknowledged and delivered; whoever is told 2xx need not send it again, whatever crashes.

| answer | when |
|---|---|
| 202 | journaled; `accepted` counts its facts |
| 200 | its `webhook-id` is journaled already; nothing happens twice |
| 401 | unknown source, missing, stale or wrong signature: one answer, one duration |
| 413, 422 | too large; not understood (only the holder of a valid signature learns what is wrong) |
| 503 | the disk does not take it, too many large ones wait, we are starting, or no longer in charge: send it again |
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from feeds.market_bodies import is_urgent
from feeds.standard_webhooks import SignatureFault, verify
from feeds.vendors.contract import ReceivedMessage
from feeds.vendors.registry import ADAPTERS
from kernel.errors import DecodeError, JournalError, MessageTooLarge, SettingsError
from kernel.io.http import problem, read_body
from kernel.io.system_time import new_key
from kernel.strict_json import VENDOR_LIMITS, decode, decode_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from concurrent.futures import Executor

    from starlette.requests import Request

    from feeds.io.journal import Journal
    from feeds.journal_records import StoredMessage
    from feeds.vendors.contract import Adapted, Adapter

log = structlog.get_logger("vendors")

OFF_LOOP_BYTES = 64 << 10
"""Decoding 64 KiB takes about 1.5 ms; more would make the loop's timers late."""

MAX_URGENT = 10_000
"""How many suspends are remembered by the id of their message, so that one sent again does nothing twice."""

SMALL_BYTES = 8 << 10
"""A suspend takes 200 bytes, a play 1 KiB: what is this small waits for nobody."""

LARGE_AT_ONCE = 2
"""How many larger messages are worked on together: while the disk has the one, the other is read. Each takes some
milliseconds of everybody's time, and a suspend must find the loop free whatever is posted."""

LARGE_WAITING = 32
"""How many larger ones wait for those. Beyond that their sender is told to slow down, before the wait is a delay."""

_RETRY = {"Retry-After": "1"}


@dataclass(frozen=True, slots=True)
class SourceKeys:
    """How a source is believed and understood, and which stream its facts belong to."""

    vendor: str
    secrets: Sequence[bytes]
    stream: str


class Ingress:
    """Take in vendors' messages. Call `recover` before the first one.

    Guaranteed: `deliver` gets each journaled message once a process, in the order of `seq`, recovered ones first, and
    never before it is on disk. One that suspends something alone overtakes those that wait for the disk, and does not
    wait for it itself: it bears the number that it will have there.

    Args:
        sources: what is configured, by name.
        journal: keeps the messages.
        wall: the time of day in Unix seconds, by which signatures are judged.
        received: the same without the steps of its clock, by which facts are placed.
        deliver: takes a message on; must not block.
        executor: decodes large bodies; None: the loop's own.
        adapters: by vendor.
        holds_log: tells whether what is acknowledged will be heard: no other process has taken over the log.

    Raises:
        SettingsError: a source names no known vendor, or has no secret.
    """

    def __init__(
        self,
        sources: Mapping[str, SourceKeys],
        journal: Journal,
        *,
        wall: Callable[[], float],
        received: Callable[[], float] | None = None,
        deliver: Callable[[ReceivedMessage], None],
        executor: Executor | None = None,
        adapters: Mapping[str, Adapter] = ADAPTERS,
        holds_log: Callable[[], bool] = lambda: True,
    ) -> None:
        self._adapters = adapters
        self._check(sources)
        self._sources = dict(sources)
        self._journal = journal
        self._wall = wall
        self._received = received or wall
        self._deliver = deliver
        self._executor = executor
        self._holds_log = holds_log
        # Every source is tried against as many keys as the one that has most, strangers too; nobody holds this one.
        self._stranger = new_key()
        self._n_keys = max((len(keys.secrets) for keys in sources.values()), default=1)
        self._recovered = False
        self._held: set[str] = set()
        self._urgent: dict[tuple[str, str], None] = {}
        self._storing: dict[asyncio.Task[Response], None] = {}
        self._turnstile = asyncio.Semaphore(LARGE_AT_ONCE)
        self._large = 0

    def _check(self, sources: Mapping[str, SourceKeys]) -> None:
        adapters = self._adapters
        for name, keys in sources.items():
            if keys.vendor not in adapters:
                raise SettingsError(f"source {name!r}: no adapter for vendor {keys.vendor!r}; use one of {[*adapters]}")
            if not keys.secrets:
                raise SettingsError(f"source {name!r} has no webhook secret: add one to the keys")

    async def recover(self) -> None:
        """Deliver again what was acknowledged but not settled when the last process ended; then take new messages.

        Raises:
            JournalError: the journal cannot be read.
        """
        await self._recover(list(self._sources))
        self._recovered = True

    async def _recover(self, names: list[str]) -> None:
        for stored in await self._journal.unsettled(names):
            adapted = await self._understood_again(stored)
            if adapted is not None:
                self._hand_on(stored.seq, stored.source, stored.received, adapted, again=True)

    async def hold(self, sources: Mapping[str, SourceKeys]) -> None:
        """Know these sources, and tell them to wait; return when nothing of theirs is under way any more.

        Raises:
            SettingsError: as when this is made.
        """
        self._check(sources)
        self._held |= sources.keys()
        self._sources |= sources
        self._n_keys = max(self._n_keys, *(len(keys.secrets) for keys in sources.values()), 1)
        await self.aclose()

    async def release(self, names: Collection[str]) -> None:
        """Deliver what of held sources was acknowledged and not settled, then take new messages of theirs.

        Raises:
            JournalError: the journal cannot be read.
        """
        held = sorted(self._held.intersection(names))
        if held:
            await self._recover(held)
        self._held.difference_update(held)

    def forget(self, names: Collection[str]) -> None:
        """Know these sources no more; what was acknowledged of theirs stays in the journal."""
        for name in names:
            self._sources.pop(name, None)
        self._held.difference_update(names)

    async def receive(self, request: Request) -> Response:
        """Answer one POST."""
        name = request.path_params["source"]
        body = await read_body(request, VENDOR_LIMITS.max_bytes)
        if body is None:
            return problem(413, "Message too large", detail=f"the limit is {VENDOR_LIMITS.max_bytes} bytes")
        message_id = await self._run(len(body), self._believed, name, request.headers, body)
        if isinstance(message_id, SignatureFault):
            log.warning("webhook.refused", source=name if name in self._sources else "?", why=message_id.value)
            # RFC 9110, 11.6.1: a 401 names a scheme.
            return problem(401, "Not authenticated", headers={"WWW-Authenticate": "StandardWebhooks"})
        if not self._recovered or name in self._held:
            return problem(503, "Starting", detail="earlier messages are still being read", headers=_RETRY)
        if not self._holds_log():
            return problem(503, "Not in charge", detail="another process may be writing the log", headers=_RETRY)
        if len(body) <= SMALL_BYTES:
            return await self._take(name, message_id, body)
        if self._large >= LARGE_AT_ONCE + LARGE_WAITING:
            return problem(503, "Busy", detail="too many large messages at once: send it again", headers=_RETRY)
        self._large += 1
        try:
            async with self._turnstile:
                return await self._take(name, message_id, body)
        finally:
            self._large -= 1

    async def _take(self, name: str, message_id: str, body: bytes) -> Response:
        """Understand a message that is believed, and store it."""
        try:
            adapted = await self._run(len(body), self._understood, name, body)
        except DecodeError as error:
            log.warning("webhook.not_understood", source=name, message_id=message_id, why=str(error))
            status = 413 if isinstance(error, MessageTooLarge) else 422
            return problem(status, "Message not understood", detail=str(error))
        # A task of its own: if this request is given up, what is journaled is delivered all the same.
        task = asyncio.create_task(self._store(name, message_id, body, adapted))
        self._storing[task] = None
        task.add_done_callback(lambda done: self._storing.pop(done, None))
        return await asyncio.shield(task)

    async def aclose(self) -> None:
        """Wait until what was begun is journaled and delivered. Call it before the journal is closed."""
        if self._storing:
            await asyncio.wait(list(self._storing))

    async def _store(self, name: str, message_id: str, body: bytes, adapted: Adapted) -> Response:
        received, n_facts = self._received(), len(adapted.facts)
        seq = self._journal.next_message_seq()
        # What suspends waits neither for the disk nor behind those who do. Should the disk refuse the message, or hold
        # it already, nothing but a suspend has happened, and its vendor's next attempt says nothing new.
        urgent = any(map(is_urgent, adapted.facts)) and self._is_first(name, message_id)
        if urgent:
            self._hand_on(seq, name, received, adapted)
        try:
            appended = await self._journal.append_message(
                name, message_id, body, received=received, open_facts=n_facts, seq=seq
            )
        except JournalError as error:
            log.error("webhook.not_journaled", source=name, message_id=message_id, why=str(error))
            return problem(503, "Not stored", detail="the message could not be stored: send it again", headers=_RETRY)
        # From here to the delivery nothing is awaited: messages keep the journal's order.
        if not appended.duplicate and not urgent:
            self._hand_on(appended.seq, name, received, adapted)
        log.info("webhook.accepted", source=name, seq=appended.seq, facts=n_facts, duplicate=appended.duplicate)
        answer = {"accepted": 0 if appended.duplicate else n_facts, "duplicate": appended.duplicate}
        return JSONResponse(answer, 200 if appended.duplicate else 202, {"Cache-Control": "no-store"})

    def _is_first(self, name: str, message_id: str) -> bool:
        """Return whether an urgent message comes for the first time, as far as is remembered."""
        key = (name, message_id)
        if key in self._urgent:
            return False
        self._urgent[key] = None
        if len(self._urgent) > MAX_URGENT:
            del self._urgent[next(iter(self._urgent))]
        return True

    def _believed(self, name: str, headers: Mapping[str, str], body: bytes) -> str | SignatureFault:
        source = self._sources.get(name)
        secrets = list(source.secrets) if source else []
        secrets += [self._stranger] * (self._n_keys - len(secrets))
        return verify(secrets, headers, body, now=self._wall())

    def _understood(self, name: str, body: bytes) -> Adapted:
        return self._adapters[self._sources[name].vendor](name, decode_body(body))

    async def _understood_again(self, stored: StoredMessage) -> Adapted | None:
        try:
            adapted: Adapted = await self._run(len(stored.body), self._understood, stored.source, stored.body)
        except DecodeError as error:
            # It was understood once: the adapter changed. It stays in the journal, for an adapter that can.
            log.error("webhook.not_recovered", source=stored.source, seq=stored.seq, why=str(error))
            return None
        return adapted

    def _hand_on(self, seq: int, name: str, received: float, adapted: Adapted, *, again: bool = False) -> None:
        source = self._sources.get(name)
        if source is None:
            return  # it was forgotten meanwhile
        try:
            self._deliver(ReceivedMessage(seq, name, received, adapted, source.stream, again))
        except Exception:
            # It is on disk and will be delivered again by the next process; its sender is not at fault.
            log.exception("webhook.delivery_failed", source=name, seq=seq)

    async def _run(self, n_bytes: int, function: Callable[..., Any], *arguments: object) -> Any:
        if n_bytes <= OFF_LOOP_BYTES:
            return function(*arguments)
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)


def decode_body(body: bytes) -> Any:
    """Decode a vendor's message: one JSON document, or several that stand one a line, which become a list.

    Raises:
        DecodeError: it is neither; the text says where the one or the other fails.
    """
    try:
        return decode(body, VENDOR_LIMITS)
    except MessageTooLarge:
        raise
    except DecodeError as error:
        first, newline, rest = body.strip().partition(b"\n")
        if not newline or not rest:
            raise
        try:
            decode(first, VENDOR_LIMITS)
        except DecodeError:
            # Its first line is no document: it was meant as one, which is broken further on.
            raise error from None
        return decode_lines(body, VENDOR_LIMITS)


def routes(ingress: Ingress) -> list[Route]:
    """Return the routes of the vendors' front door, to be mounted by the composition root."""
    return [Route("/api/v1/feeds/{source}", ingress.receive, methods=["POST"], name="feeds")]
