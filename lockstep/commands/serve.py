"""`lockstep serve`: everything in one process."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer
import uvloop
from starlette.types import ASGIApp

from kernel.errors import SettingsError
from kernel.showings import Showing
from lockstep.collector import set_up_collector
from lockstep.compose import ALL_HOUSES, Deployment, House
from lockstep.front_door import allow_connections, listen, make_server, url_of
from lockstep.keys import Keys, ensure_keys
from lockstep.logs import configure_logs
from lockstep.settings import Settings, load_settings
from lockstep.showings.origins import urls_of

log = structlog.get_logger("lockstep")

Around = Callable[[Deployment], AbstractAsyncContextManager[ASGIApp]]
"""Whatever runs beside a deployment while it is entered, and yields the application that is served."""


def serve(
    config: Annotated[Path | None, typer.Option(help="Settings file (TOML).")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of the journal and keys.toml  [default: var]")] = None,
    event: Annotated[str | None, typer.Option(help="Event id of a showing to serve.")] = None,
    origin: Annotated[str | None, typer.Option(help="Its origin: a folder, or a playlist's URL.")] = None,
    source: Annotated[list[str] | None, typer.Option(help="NAME=VENDOR of a feed pinned to it; repeatable.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on  [default: 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on  [default: 8080]")] = None,
) -> None:
    """Run feeds, hub and relay in one process until SIGTERM or Ctrl-C."""
    settings = load_settings(config, overrides(data_dir, event, origin, source or [], host, port))
    configure_logs(settings.log_level)
    # All that may block on the disk comes before the loop.
    showings = shown(settings)
    keys = ensure_keys(settings.data_dir, source_names(showings))
    allow_connections()
    with contextlib.closing(listen(settings.host, settings.port)) as listening:
        uvloop.run(run(settings, showings, keys, listening))


def shown(settings: Settings) -> dict[str, Showing]:
    """Return the showings of the settings; there may be none where they are made by API.

    Raises:
        SettingsError: there is none, or one is wrong.
    """
    showings = settings.to_showings()
    settings.to_proxies()
    if not showings and "showings_api" not in settings.model_fields_set:
        raise SettingsError(
            "there is nothing to show: pass --event and --origin, or name a showing in the settings; "
            "where all are made by API, write [showings_api] there"
        )
    urls_of(settings.showings_api.origin_hosts)
    return showings


def source_names(showings: dict[str, Showing]) -> list[str]:
    """Return the names of all vendor feeds."""
    return [source.name for showing in showings.values() for source in showing.sources]


def overrides(
    data_dir: Path | None, event: str | None, origin: str | None, sources: list[str], host: str | None, port: int | None
) -> dict[str, Any]:
    """Turn the command line's options into settings that outrank the file and the environment.

    Raises:
        SettingsError: `--event` and `--origin` do not come together, or a source is not NAME=VENDOR.
    """
    wanted: dict[str, Any] = {
        name: value for name, value in (("data_dir", data_dir), ("host", host), ("port", port)) if value is not None
    }
    if (event is None) != (origin is None):
        raise SettingsError("--event and --origin belong together: name both, or a showing in the settings file")
    if event is None:
        if sources:
            raise SettingsError("--source belongs to --event: name the showing it is pinned to")
        return wanted
    pinned: dict[str, Any] = {}
    for text in sources:
        name, equals, vendor = text.partition("=")
        if not equals or not name or not vendor:
            raise SettingsError(f"--source {text!r}: write NAME=VENDOR, such as nba=nba")
        pinned[name] = {"vendor": vendor}
    wanted["showings"] = {event: {"origin": origin, "sources": pinned}}
    return wanted


async def run(
    settings: Settings,
    showings: dict[str, Showing],
    keys: Keys,
    listening: socket.socket,
    *,
    houses: tuple[House, ...] = ALL_HOUSES,
    bus_url: str | None = None,
    around: Around | None = None,
) -> None:
    """Serve until a signal comes, then end cleanly.

    Args:
        settings: everything that is set.
        showings: what is shown.
        keys: the deployment's secrets.
        listening: the open port.
        houses: those that run in this process.
        bus_url: the Redis that they share with others; None: nobody else.
        around: what runs beside it, and says what is served; None: the deployment's own routes.

    Raises:
        JournalError: the journal cannot be opened.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    # A hang-up asks for the keys to be read anew. Until somebody can, it must not end us.
    loop.add_signal_handler(signal.SIGHUP, lambda: None)
    starting = asyncio.create_task(Deployment.start(settings, showings, keys, houses=houses, bus_url=bus_url))
    stopped = asyncio.create_task(stopping.wait())
    # A bus that cannot be reached must not keep us from being told to stop.
    await asyncio.wait([starting, stopped], return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        log.info("server.stopped")
        return
    deployment = starting.result()
    loop.add_signal_handler(signal.SIGHUP, deployment.reread_keys)
    try:
        async with around(deployment) if around else contextlib.nullcontext(deployment.app) as app:
            await _serve(deployment, app, settings, listening, stopped)
    finally:
        await deployment.stop()
    log.info("server.stopped")


async def _serve(
    deployment: Deployment, app: ASGIApp, settings: Settings, listening: socket.socket, stopped: asyncio.Task[Any]
) -> None:
    server = make_server(
        app,
        deployment.protocol_class(),
        proxies=settings.to_proxies(),
        allowances=deployment.allowances,
        at_once=deployment.at_once,
    )
    set_up_collector()
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    log.info("server.listening", url=url_of(listening), showings=sorted(settings.showings))
    await asyncio.wait([serving, stopped], return_when=asyncio.FIRST_COMPLETED)
    log.info("server.stopping")
    stopped.cancel()
    await deployment.drain()
    server.should_exit = True
    await serving
