"""The demo's page and its libraries, from memory: a path is looked up, never joined to a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from kernel.errors import SettingsError
from kernel.io.http import problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

PREFIX = "/demo/"
_PARTS = {"demo": "", "sdk": "sdk/", "libraries": "lib/"}
_TYPES = {
    ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css",
    ".svg": "image/svg+xml", ".txt": "text/plain",
}  # fmt: skip
_NEEDED = ("", "app.js", "sdk/index.js", "lib/hls.min.mjs", "lib/msgpack.min.js")

HEADERS = {
    # hls.js works in a worker that it makes of a blob, and plays one.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src blob:; "
        "worker-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


def folder() -> Path:
    """Return where the pages are: in the installed package, or beside it in a working copy."""
    package = Path(__file__).parents[1]
    return package / "ui" if (package / "ui").is_dir() else package.parent / "ui"


def read_pages(ui: Path) -> dict[str, tuple[bytes, str]]:
    """Return every file by its path below `PREFIX`, with its media type.

    Raises:
        SettingsError: something that the page cannot do without is not there.
    """
    pages: dict[str, tuple[bytes, str]] = {}
    for part, prefix in _PARTS.items():
        for path in sorted((ui / part).glob("*")):
            if path.is_file() and path.suffix in _TYPES:
                name = "" if path.name == "index.html" else path.name
                pages[prefix + name] = (path.read_bytes(), _TYPES[path.suffix])
    for name in _NEEDED:
        if name not in pages:
            raise SettingsError(f"the page lacks {name or 'index.html'} below {ui}: run `python ui/libraries.py`")
    return pages


def page_routes(pages: Mapping[str, tuple[bytes, str]]) -> list[Route]:
    """Return the routes of the page, to be mounted behind everything more particular."""

    async def page(request: Request) -> Response:
        found = pages.get(request.path_params["path"])
        if found is None:
            return problem(404, "Not Found")
        body, media_type = found
        return Response(body, media_type=media_type, headers=HEADERS)

    return [Route(PREFIX + "{path:path}", page, methods=["GET"])]
