"""`lockstep origin`: serve a recorded HLS folder as a live stream, to rehearse with."""

from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from kernel.errors import LockstepError, SettingsError
from lockstep.ensemble import Ensemble, Programme

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

_TYPES = {
    ".ts": "video/mp2t",  # RFC 3555
    ".mp4": "video/mp4",
    ".m4s": "video/mp4",
    ".aac": "audio/aac",
    ".mp3": "audio/mpeg",
    ".vtt": "text/vtt",
}


def read_programme(folder: str) -> Programme:
    """Read a recorded folder (or the playlist in it that is named), and see that all its files are there.

    Raises:
        LockstepError: it is not there, incomplete, or no recording that can be played.
    """
    from kernel.io.origin import FetchLimits, playlist_ref
    from kernel.io.origin_files import FileOrigin

    ref = playlist_ref(folder)
    if not ref.startswith("file:"):
        raise SettingsError(f"{folder!r} is no folder: a rehearsal plays a recording that lies here")
    files = FileOrigin([ref])
    path = Path(files.path_of(ref))

    def text_of(playlist: Path) -> str:
        return files.read(playlist.as_uri(), FetchLimits().max_playlist_bytes).decode("utf-8", "replace")

    programme = Programme.read(path, text_of)
    for named in programme.files:
        file = named.resolve()
        # A link that leads out of the folder is served to nobody.
        if not file.is_file() or not file.is_relative_to(path.parent):
            name = str(named.relative_to(path.parent))
            raise SettingsError(f"{path.name} names {name!r}, which is not in its folder")
    return programme


def make_app(
    programme: Programme,
    started_at: float,
    *,
    loop: bool = False,
    window: int = 6,
    speed: float = 1.0,
    wall: Callable[[], float] | None = None,
) -> Starlette:
    """Return an application that serves a recording as a live stream from `started_at` (Unix seconds) on.

    A player begins at the programme's entry. `wall` is the clock, the machine's own by default.
    """
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.cors import CORSMiddleware
    from starlette.responses import FileResponse, Response
    from starlette.routing import Route

    from kernel.io import system_time
    from kernel.io.http import exception_handlers, problem

    ensemble = Ensemble(programme, started_at, loop=loop, window=window, speed=speed)
    now = wall or system_time.wall

    async def answer(request: Request) -> Response:
        # Looked up in the recording's index, never joined from what was asked.
        wanted = request.path_params["path"]
        text = ensemble.playlist(wanted, now())
        if text is not None:
            return Response(text, media_type="application/vnd.apple.mpegurl", headers={"Cache-Control": "no-cache"})
        path = ensemble.file(wanted, now())
        if path is None:
            return problem(404, "Not Found", detail="no such file, or not yet out")
        kind = _TYPES.get(path.suffix.lower(), "application/octet-stream")
        return FileResponse(path, media_type=kind, headers={"Cache-Control": "public, max-age=3600"})

    routes = [Route("/{path:path}", answer)]
    exposed = ["Content-Length", "Content-Range", "Date"]
    cors = Middleware(CORSMiddleware, allow_origins=["*"], allow_headers=["*"], expose_headers=exposed)
    return Starlette(routes=routes, middleware=[cors], exception_handlers=exception_handlers)


def origin(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="A recorded HLS folder, or a media playlist in it.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 picks a free one.")] = 9000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    loop: Annotated[bool, typer.Option("--loop", help="Begin anew at the end, for ever.")] = False,
    window: Annotated[int, typer.Option(min=1, help="Segments in the list.")] = 6,
    speed: Annotated[float, typer.Option(help="2 is twice as fast; dates then stay as recorded.")] = 1.0,
) -> None:
    """Serve a recorded HLS folder as a live stream, dated now. Prints its playlist's URL on the first line."""
    import uvicorn

    from kernel.io import system_time
    from lockstep.guard import GuardedHttp

    class Announcing(uvicorn.Server):
        """Say where the playlist is, once connections are taken."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            print(url, flush=True)  # noqa: T201 - scripts read it

    try:
        programme = read_programme(folder)
        app = make_app(programme, system_time.wall(), loop=loop, window=window, speed=speed)
        listener = _listen(host, port)
    except LockstepError as error:
        typer.echo(f"lockstep origin: {error}", err=True)
        raise typer.Exit(1) from None
    shown_host = f"[{host}]" if ":" in host else host
    url = f"http://{shown_host}:{listener.getsockname()[1]}/{quote(programme.entry)}"
    # uvicorn raises the signal once more when it has shut down; then we are done, and all is well.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    config = uvicorn.Config(
        app,
        http=GuardedHttp,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    with listener:
        Announcing(config).run(sockets=[listener])


def _leave(_: int, __: FrameType | None) -> None:
    sys.exit(0)


def _listen(host: str, port: int) -> socket.socket:
    """Return a bound socket; raises SettingsError where that cannot be."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # A port whose last connections are still in TIME_WAIT is free.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"cannot listen on {host} port {port} ({error.strerror}): choose another with --port, or 0 for a free one"
        ) from None
    return listener
