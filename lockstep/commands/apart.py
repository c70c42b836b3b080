"""`lockstep ingest`, `lockstep relay`, `lockstep hub`: one house a process, Redis between them."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from kernel.errors import SettingsError
from lockstep.commands.serve import overrides, run, shown, source_names
from lockstep.compose import House
from lockstep.front_door import listen
from lockstep.keys import ensure_keys, read_keys
from lockstep.logs import configure_logs
from lockstep.settings import load_settings

BusUrl = Annotated[str | None, typer.Option("--bus", help="Redis that the houses share: redis://HOST:PORT/DB.")]
Config = Annotated[Path | None, typer.Option(help="Settings file (TOML), the same for all houses.")]
DataDir = Annotated[Path | None, typer.Option(help="Folder of keys.toml, and of the journal of `ingest`.")]
Event = Annotated[str | None, typer.Option(help="Event id of a showing.")]
Origin = Annotated[str | None, typer.Option(help="Its origin: a folder, or a playlist's URL.")]
SourceNames = Annotated[list[str] | None, typer.Option(help="NAME=VENDOR of a feed pinned to it; repeatable.")]
Host = Annotated[str | None, typer.Option(help="Address to listen on  [default: 127.0.0.1]")]
Port = Annotated[int | None, typer.Option(help="Port to listen on  [default: 8080]")]


def ingest(
    bus: BusUrl = None, config: Config = None, data_dir: DataDir = None, event: Event = None, origin: Origin = None,
    source: SourceNames = None, host: Host = None, port: Port = None,
) -> None:  # fmt: skip
    """Run feeds alone: follow the origins, take in the vendors, keep the journal."""
    _run("feeds", bus, config, data_dir, event, origin, source, host, port)


def relay(
    bus: BusUrl = None, config: Config = None, data_dir: DataDir = None, event: Event = None, origin: Origin = None,
    source: SourceNames = None, host: Host = None, port: Port = None,
) -> None:  # fmt: skip
    """Run a relay alone: serve the gated video. There may be several."""
    _run("relay", bus, config, data_dir, event, origin, source, host, port)


def hub(
    bus: BusUrl = None, config: Config = None, data_dir: DataDir = None, event: Event = None, origin: Origin = None,
    source: SourceNames = None, host: Host = None, port: Port = None,
) -> None:  # fmt: skip
    """Run a hub alone: fan out the cues. There may be several."""
    _run("hub", bus, config, data_dir, event, origin, source, host, port)


def _run(
    house: House, bus: str | None, config: Path | None, data_dir: Path | None, event: str | None, origin: str | None,
    source: list[str] | None, host: str | None, port: int | None,
) -> None:  # fmt: skip
    wanted = overrides(data_dir, event, origin, source or [], host, port)
    if bus is not None:
        wanted["bus"] = {"url": bus}
    settings = load_settings(config, wanted)
    configure_logs(settings.log_level)
    if settings.bus.url is None:
        raise SettingsError(
            "houses that run apart need a bus: pass --bus redis://HOST:PORT, or set url below [bus]; "
            "`lockstep serve` runs all in one process and needs none"
        )
    showings = shown(settings)
    # One process makes the keys, or three that start at once would each make their own.
    names = source_names(showings)
    keys = ensure_keys(settings.data_dir, names) if house == "feeds" else read_keys(settings.data_dir)
    with contextlib.closing(listen(settings.host, settings.port)) as listening:
        uvloop.run(
            run(settings, showings, keys, listening, houses=(house,), bus_url=settings.bus.url.get_secret_value())
        )
