"""An origin between the rehearsal and the server that alters playlists: dates that drift, step or are absent."""

from __future__ import annotations

import re
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from kernel.dates import format_date, parse_date

Alter = Callable[[float], float | None]
"""Given a date in Unix seconds, return what to write instead, None to leave the tag out."""

_DATE = re.compile(r"^#EXT-X-PROGRAM-DATE-TIME:(\S+)\n", re.MULTILINE)


@contextmanager
def altered(origin: str, alter: Alter) -> Iterator[str]:
    """Serve a live origin with its dates altered; yield the playlist's URL."""
    base = origin.removesuffix("index.m3u8")

    def rewritten(match: re.Match[str]) -> str:
        date = alter(parse_date(match[1]))
        return "" if date is None else f"#EXT-X-PROGRAM-DATE-TIME:{format_date(date)}\n"

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with urllib.request.urlopen(base + self.path.lstrip("/")) as answer:
                body: bytes = answer.read()
            if self.path.endswith(".m3u8"):
                body = _DATE.sub(rewritten, body.decode()).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/index.m3u8"
        finally:
            server.shutdown()
            serving.join()
