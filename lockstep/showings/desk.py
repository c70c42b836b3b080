"""Where operators make showings: `/api/v1/showings`. On disk first, then on the bus, then acknowledged.

One desk serves a deployment, in the process of feeds. It knows all showings that were made, and what it decides on is
in memory: whoever writes waits for whoever writes already.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import structlog
from starlette.responses import Response

from feeds.vendors.registry import ADAPTERS
from kernel.bus import Bus
from kernel.errors import DecodeError, SettingsError
from kernel.io.http import problem
from kernel.io.origin_http import without_secrets
from kernel.showings import EVENT_ID
from lockstep.keys import drop_webhooks, new_webhooks
from lockstep.showings.words import (
    DELETE_SHOWING,
    GET_SHOWING,
    LIST_SHOWINGS,
    MAKE_SHOWING,
    PATH,
    PUT_SHOWING,
    SHOWINGS,
    MadeShowing,
    ShowingFields,
    ShowingsTold,
    ShowingTold,
    fields_of,
    set_told,
)
from relay.io.operator_door import NO_STORE, told
from relay.paging import page_of
from relay.preconditions import Condition, condition_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping
    from pathlib import Path
    from typing import Any

    from kernel.showings import Showing
    from lockstep.settings import ShowingSettings
    from lockstep.showings.lineup import Lineup
    from lockstep.showings.origins import AllowedOrigins
    from lockstep.showings.store import ShowingStore
    from relay.io.operator_door import ApiRoute, Call, OperatorDoor

T = TypeVar("T")
log = structlog.get_logger("showings")

PATIENCE_S = 2.0
"""How long an answer waits until the showing is served in this process."""


class ShowingDesk:
    """Make, change, end and list showings.

    Args:
        store: what is on disk; closed by us.
        bus: who tells everybody.
        door: lets operators in.
        settings: the showings of the settings, by event id.
        resolved: the same as the kernel knows them.
        origins: where origins may lie.
        data_dir: where `keys.toml` lies.
        max_showings: how many may be made.
        wall: the time of day in Unix seconds.
        lineup: what is served in this process.
    """

    def __init__(
        self,
        store: ShowingStore,
        bus: Bus,
        door: OperatorDoor,
        *,
        settings: Mapping[str, ShowingSettings],
        resolved: Mapping[str, Showing],
        origins: AllowedOrigins,
        data_dir: Path,
        max_showings: int,
        wall: Callable[[], float],
        lineup: Lineup,
    ) -> None:
        self._store = store
        self._bus = bus
        self._door = door
        self._set = {
            event_id: set_told(event_id, resolved[event_id].origin, options)
            for event_id, options in settings.items()
            if event_id in resolved
        }
        self._origins = origins
        self._data_dir = data_dir
        self._max_showings = max_showings
        self._wall = wall
        self._lineup = lineup
        self._made: dict[str, MadeShowing] = {}
        self._offset = -1
        self._offsets: dict[str, int] = {}
        self._order = asyncio.Lock()
        self._writes: set[asyncio.Task[Any]] = set()

    def routes(self) -> list[ApiRoute]:
        """Return what the composition root mounts."""
        return [
            self._door.route(MAKE_SHOWING, self._make),
            self._door.route(LIST_SHOWINGS, self._list),
            self._door.route(GET_SHOWING, self._get),
            self._door.route(PUT_SHOWING, self._put),
            self._door.route(DELETE_SHOWING, self._delete),
        ]

    async def refill(self) -> None:
        """Read what is on disk, and tell the bus all of it; its topic has begun anew.

        What the settings have taken since is theirs: a showing's name, or a source.

        Raises:
            JournalError: the file cannot be read.
        """
        for one in await self._store.load(now=self._wall()):
            if one.event_id in self._set:
                log.warning("showing.of_the_settings", event_id=one.event_id)
            elif one.fields is not None and (taken := self._taken(one.event_id, one.fields)) is not None:
                # It is there to be changed, but nobody is to take its vendor's word for another showing's.
                self._made[one.event_id] = one
                log.error("showing.source_taken", event_id=one.event_id, source=taken,
                          remedy="give its source another name, here or in the settings")  # fmt: skip
            else:
                self._publish(one)

    async def aclose(self) -> None:
        """Finish what was begun, then close the file."""
        await asyncio.gather(*self._writes, return_exceptions=True)
        await self._store.aclose()

    # The routes.

    async def _make(self, call: Call) -> Response:
        event_id = call.body.event_id
        if event_id in self._set or self._present(event_id) is not None:
            return _exists(event_id)
        return await self._write(call, event_id, call.body.origin, None)

    async def _put(self, call: Call) -> Response:
        return await self._write(call, call.path["event_id"], call.body.origin, condition_of(call.request.headers))

    async def _write(self, call: Call, event_id: str, origin: str | None, condition: Condition | None) -> Response:
        if not EVENT_ID.fullmatch(event_id):
            raise DecodeError("event_id: 1 to 64 letters, digits, '_' or '-'")
        if event_id in self._set:
            return _of_the_settings()
        fields = fields_of(call.body)
        _check_vendors(fields)
        present = self._present(event_id)
        if present is None and origin is None:
            raise DecodeError("origin: a showing that is new needs one")
        ref = None
        if origin is not None and (present is None or origin not in (present.origin, without_secrets(present.origin))):
            ref = await self._origins.ref_of(origin)
        return await self._lasting(self._change(call, event_id, ref, fields, condition))

    async def _change(
        self, call: Call, event_id: str, ref: str | None, fields: ShowingFields, condition: Condition | None
    ) -> Response:
        async with self._order:
            present = self._present(event_id)
            if condition is None and present is not None:
                return _exists(event_id)
            if condition is not None and not condition.holds(None if present is None else present.version):
                return _condition_failed(present)
            if present is None and ref is None:
                raise DecodeError("origin: a showing that is new needs one")
            if present is not None and ref not in (None, present.origin):
                return _conflict("origin_fixed", "the origin of a showing cannot change: make another showing")
            if (taken := self._taken(event_id, fields)) is not None:
                return _conflict("source_taken", f"the source {taken!r} serves another showing")
            if present is None and sum(one.fields is not None for one in self._made.values()) >= self._max_showings:
                return problem(507, "Insufficient Storage", detail=f"there are {self._max_showings}: end some first")
            if present is not None and present.fields == fields:
                return _told(present.told(), 200, present)
            secrets = await self._secrets(present, fields)
            if secrets is None:
                return _keys_busy()
            now, former = self._wall(), self._made.get(event_id)
            one = await self._store.save(
                MadeShowing(
                    n=0,
                    event_id=event_id,
                    version=1 if former is None else former.version + 1,
                    origin=present.origin if present is not None else ref or "",
                    fields=fields,
                    made=now if present is None else present.made,
                    changed=now,
                    by=call.operator.name,
                )
            )
            self._publish(one)
            log.info("showing.made" if present is None else "showing.set", event_id=event_id, version=one.version,
                     by=one.by)  # fmt: skip
        await self._lineup.made_so(PATIENCE_S)
        return _told(one.told(secrets), 201 if present is None else 200, one)

    async def _delete(self, call: Call) -> Response:
        condition = condition_of(call.request.headers)
        if call.path["event_id"] in self._set:
            return _of_the_settings()
        return await self._lasting(self._end(call, call.path["event_id"], condition))

    async def _end(self, call: Call, event_id: str, condition: Condition) -> Response:
        async with self._order:
            present = self._present(event_id)
            if present is None:
                return _absent()
            if not condition.holds(present.version):
                return _condition_failed(present)
            one = replace(
                present, version=present.version + 1, fields=None, changed=self._wall(), by=call.operator.name
            )
            self._publish(await self._store.save(one))
            log.info("showing.deleted", event_id=event_id, version=one.version, by=one.by)
            names = self._own(present.fields.sources) if present.fields is not None else []
            try:
                await asyncio.to_thread(drop_webhooks, self._data_dir, names)
            except SettingsError as error:
                # They let nobody in: their source is known no more, and gets another secret should it come back.
                log.warning("showing.secrets_left", event_id=event_id, error=str(error))
        await self._lineup.made_so(PATIENCE_S)
        return Response(status_code=204, headers=NO_STORE)

    async def _get(self, call: Call) -> Response:
        event_id = call.path["event_id"]
        if event_id in self._set:
            return told(self._set[event_id])
        present = self._present(event_id)
        return _absent() if present is None else _told(present.told(), 200, present)

    async def _list(self, call: Call) -> Response:
        page = page_of(call.query)
        # Those of the settings come first: they are numbered from 1, all others behind them.
        rows: list[tuple[int, ShowingTold]] = list(enumerate(self._set.values(), 1))
        there = sorted((one for one in self._made.values() if one.fields is not None), key=lambda one: one.n)
        rows += [(len(self._set) + one.n, one.told()) for one in there]
        rows = [row for row in rows if row[0] > page.after]
        some = rows[: page.limit]
        next_after = some[-1][0] if len(rows) > page.limit else None
        return told(ShowingsTold(showings=[one for _, one in some], next_after=next_after))

    # Within.

    def _present(self, event_id: str) -> MadeShowing | None:
        one = self._made.get(event_id)
        return None if one is None or one.fields is None else one

    def _taken(self, event_id: str, fields: ShowingFields) -> str | None:
        """Return a source that another showing has."""
        others = [set(one.sources) for one in self._set.values()]
        others += [set(one.fields.sources) for one in self._made.values() if one.fields and one.event_id != event_id]
        return min(set(fields.sources).intersection(*[set().union(*others)]), default=None)

    def _own(self, names: Iterable[str]) -> list[str]:
        """Return those sources that the settings have not taken since: their secrets are not ours to drop."""
        return sorted(set(names).difference(*(one.sources for one in self._set.values())))

    async def _secrets(self, present: MadeShowing | None, fields: ShowingFields) -> dict[str, str] | None:
        """Make secrets for sources that are new, and drop those of sources that go; None: the file is being changed."""
        former = set(present.fields.sources) if present is not None and present.fields is not None else set()
        new, gone = sorted(fields.sources.keys() - former), self._own(former - fields.sources.keys())
        try:
            if gone:
                await asyncio.to_thread(drop_webhooks, self._data_dir, gone)
            return await asyncio.to_thread(new_webhooks, self._data_dir, new) if new else {}
        except SettingsError as error:
            log.error("showing.no_secrets", error=str(error))
            return None

    def _publish(self, one: MadeShowing) -> None:
        self._offset += 1
        self._made[one.event_id] = one
        before = self._offsets.get(one.event_id)
        self._offsets[one.event_id] = self._offset
        record = one.to_record()
        self._bus.publish(SHOWINGS, self._offset, record)
        self._lineup.tell(record)
        if before is not None:
            self._bus.forget(SHOWINGS, [before])

    async def _lasting(self, work: Coroutine[Any, Any, T]) -> T:
        """Finish what was begun also if nobody waits for it any more: what is on disk must come on the bus."""
        task = asyncio.create_task(work)
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return await asyncio.shield(task)


def _check_vendors(fields: ShowingFields) -> None:
    for name, source in fields.sources.items():
        if source.vendor not in ADAPTERS:
            raise DecodeError(f"sources.{name}.vendor: there are {', '.join(sorted(ADAPTERS))}")


def _told(one: ShowingTold, status: int, made: MadeShowing) -> Response:
    headers = {"ETag": f'"{made.version}"'}
    if status == 201:
        headers["Location"] = f"{PATH}/{made.event_id}"
    return told(one, status, headers)


def _absent() -> Response:
    return problem(404, "Not Found", detail="there is no such showing")


def _exists(event_id: str) -> Response:
    return _conflict("exists", f"there is a showing {event_id!r}: PUT changes it")


def _conflict(reason: str, detail: str) -> Response:
    return problem(409, "Conflict", reason=reason, detail=detail)


def _of_the_settings() -> Response:
    return _conflict("from_settings", "this showing comes from the settings: it changes with them, and a restart")


def _condition_failed(present: MadeShowing | None) -> Response:
    there = "there is none" if present is None else f"its version is {present.version}"
    return problem(412, "Precondition Failed", reason="version_changed", detail=f"{there}: read it again first")


def _keys_busy() -> Response:
    return problem(
        503,
        "Service Unavailable",
        detail="the file of keys is being changed, or cannot be: send it again",
        headers={"Retry-After": "1"},
    )
