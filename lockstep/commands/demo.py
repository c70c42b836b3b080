"""`lockstep demo`: a live game on a page of one's own, or in the terminal."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from kernel.errors import SettingsError
from kernel.io.system_time import wall
from lockstep.commands.serve import overrides, run, shown, source_names
from lockstep.demo.encoder import Encoder
from lockstep.demo.encoder_child import HISTORY_S
from lockstep.demo.game import RATE
from lockstep.demo.pages import folder, read_pages
from lockstep.demo.show import EVENT_ID, SOURCE, Show
from lockstep.demo.terminal import run_in_terminal
from lockstep.front_door import allow_connections, listen, url_of
from lockstep.keys import ensure_keys
from lockstep.logs import configure_logs
from lockstep.settings import load_settings

_FRAME_MS = 1000 // RATE


def demo(
    port: Annotated[int, typer.Option(help="Port of the server; 0 picks a free one.")] = 8080,
    count: Annotated[int | None, typer.Option(help="End after this many cues; implies --terminal.")] = None,
    seed: Annotated[int, typer.Option(help="Of the game: the same one gives the same game.")] = 7,
    media: Annotated[Path, typer.Option(help="For --terminal: recorded HLS folder.")] = Path("fixtures/out/game"),
    feed: Annotated[Path, typer.Option(help="For --terminal: recorded game in Lockstep's own format.")] = Path(
        "fixtures/out/game.ndjson"
    ),
    *,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    terminal: Annotated[
        bool, typer.Option("--terminal", help="Print plays in the terminal; needs no browser.")
    ] = False,
) -> None:
    """Show the main job: a live game and its data in lockstep, on a page that also breaks things."""
    with tempfile.TemporaryDirectory(prefix="lockstep-demo-") as scratch:
        if not terminal and count is None:
            show(Path(scratch), port, seed, opens=open_)
            return
        for path in (media, feed):
            if not path.exists():
                raise SettingsError(f"{path} is not there: run `make setup`, or name a recording of your own")
        try:
            code = asyncio.run(run_in_terminal(media, feed, port, count, Path(scratch)))
        except KeyboardInterrupt:
            code = 0
    raise typer.Exit(code)


def show(scratch: Path, port: int, seed: int, *, opens: bool) -> None:
    """Run everything until SIGTERM or Ctrl-C.

    Args:
        scratch: an empty folder, for the picture and the server's data.
        port: to listen on, 0 for a free one.
        seed: of the game.
        opens: whether to open a browser.

    Raises:
        SettingsError: the port is taken, or the page is not there.
    """
    pages = read_pages(folder())
    live = scratch / "live"
    live.mkdir()
    # On a whole frame, and a window back: who opens the page finds a game that is under way.
    kickoff_ms = (int(wall() * 1000) - HISTORY_S * 1000) // _FRAME_MS * _FRAME_MS
    encoder = Encoder(live, kickoff_ms, seed)
    settings = load_settings(
        None, overrides(scratch / "data", EVENT_ID, str(encoder.playlist), [f"{SOURCE}=lockstep"], "127.0.0.1", port)
    )
    # What the page shows is not told again here.
    configure_logs("error")
    showings = shown(settings)
    keys = ensure_keys(settings.data_dir, source_names(showings))
    allow_connections()
    with contextlib.closing(listen(settings.host, settings.port)) as listening:
        staged = Show(
            encoder, seed=seed, kickoff_ms=kickoff_ms, keys=keys, url=url_of(listening), pages=pages, opens=opens
        )
        uvloop.run(run(settings, showings, keys, listening, around=staged.around))
