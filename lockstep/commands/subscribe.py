"""`lockstep subscribe`: listen to a showing's cues, as a betting frontend would."""

from __future__ import annotations

import asyncio
import contextlib
import json as jsonlib
import signal
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, urlsplit, urlunsplit

import typer

from kernel.errors import SettingsError
from kernel.showings import EVENT_ID
from lockstep.logs import configure_logs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hub.subscriber import Format

_PATH = "/api/v1/wagering/subscribe"
_GOING_AWAY = 4412
_FORMATS: dict[str, Format] = {"json": "json", "msgpack": "msgpack"}
_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}


@dataclass(frozen=True, slots=True)
class Wish:
    """What to subscribe to, and how to show it."""

    url: str
    token: str
    subscription: Mapping[str, Any]
    count: int | None
    as_json: bool
    format: Format = "json"
    retry_for_s: float | None = None


def socket_url(server: str, event_id: str) -> str:
    """Return the address of a showing's socket on a server named by its http(s) URL.

    Raises:
        SettingsError: the server's URL or the event id is none.
    """
    parts = urlsplit(server)
    scheme = _SCHEMES.get(parts.scheme)
    if scheme is None or not parts.netloc:
        raise SettingsError(f"server {server!r}: give its URL, such as http://127.0.0.1:8080")
    if not EVENT_ID.fullmatch(event_id):
        raise SettingsError(f"event id {event_id!r}: use 1 to 64 letters, digits, '_' or '-'")
    return urlunsplit((scheme, parts.netloc, parts.path.rstrip("/") + _PATH, f"event_id={quote(event_id)}", ""))


def readable(cue: Mapping[str, Any]) -> str:
    """Return a cue as one line: where it is, when in the game, the score, what it says."""
    place = f"{cue['tl']}/{cue['pts'] / 90_000:.3f}s" if "pts" in cue else "at once"
    parts = [f"{place:>16}", f"{cue.get('type', ''):<10}"]
    clock, score = cue.get("clock"), cue.get("score")
    if isinstance(clock, dict) and isinstance(clock.get("ms"), int):
        minutes, seconds = divmod(clock["ms"] // 1000, 60)
        parts.append(f"Q{clock.get('period', '?')} {minutes:02d}:{seconds:02d}")
    if isinstance(score, dict):
        parts.append(f"{score.get('home', '?')}:{score.get('away', '?')}")
    if cue.get("kind") not in (None, "new"):
        parts.append(f"[{cue['kind']}]")
    parts.append(str(cue.get("txt") or cue.get("id", "")))
    if "late_ms" in cue:
        parts.append(f"(late by {cue['late_ms']} ms)")
    # What a vendor wrote must not steer a terminal.
    return "".join(char if char.isprintable() else "?" for char in "  ".join(parts))


async def listen(wish: Wish, show: Callable[[str], None], wall: Callable[[], float]) -> int:
    """Subscribe and show what comes until the count is reached or the server is gone; return the exit status."""
    from hub.io.client import Client, GaveUp, Refused
    from kernel.io.system_time import fraction

    left = wish.count
    client = Client(
        wish.url, lambda: wish.token, wish.subscription, fraction, format_=wish.format, retry_for_s=wish.retry_for_s
    )
    async with contextlib.aclosing(client.frames()) as frames:
        try:
            async for frame in frames:
                received = round(wall() * 1000)
                if wish.as_json:
                    show(jsonlib.dumps({**frame, "received": received}, ensure_ascii=False, separators=(",", ":")))
                elif frame.get("op") == "cue":
                    show(readable(frame))
                elif frame.get("op") == "session":
                    print(_leaving(frame, received), file=sys.stderr)  # noqa: T201
                if frame.get("op") == "error":
                    return _failed(f"{frame.get('code')}: {frame.get('reason')}")
                if left is not None and frame.get("op") == "cue":
                    left -= 1
                    if left <= 0:
                        return 0
        except Refused as refused:
            return _failed(str(refused))
        except GaveUp as lost:
            return _ended(lost.bye) if lost.bye else _failed(str(lost))
    return 1  # the frames end by an exception only


def _leaving(frame: Mapping[str, Any], now_ms: int) -> str:
    ends = frame.get("ends")
    left_s = max(0, round((ends - now_ms) / 1_000)) if isinstance(ends, int) else "?"
    return f"this session has to go in {left_s} s: {frame.get('code')}"


def _ended(bye: Mapping[str, Any]) -> int:
    print(f"closed by the server: {bye.get('reason')} ({bye.get('code')})", file=sys.stderr)  # noqa: T201
    return 0 if bye.get("code") == _GOING_AWAY else 1


def _failed(why: str) -> int:
    print(f"lockstep subscribe: {why}", file=sys.stderr)  # noqa: T201
    return 1


async def _until_stopped(wish: Wish) -> int:
    """Listen; end quietly on Ctrl-C or SIGTERM."""
    from kernel.io.system_time import wall

    loop = asyncio.get_running_loop()
    listening = loop.create_task(listen(wish, _print, wall))
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, listening.cancel)
    try:
        return await listening
    except asyncio.CancelledError:
        return 0
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _print(line: str) -> None:
    # Flushed line by line: scripts read this as it comes.
    print(line, flush=True)  # noqa: T201


def subscribe(
    server: Annotated[str, typer.Argument(help="URL of the Lockstep server.")] = "http://127.0.0.1:8080",
    *,
    event: Annotated[str, typer.Option("--event", help="The showing's event id.", show_default=False)],
    token: Annotated[str, typer.Option("--token", help="A session token: see `lockstep token`.", show_default=False)],
    mode: Annotated[
        str, typer.Option(help="viewer; edge with a token of scope `server`; realtime with one of scope `trading`.")
    ] = "viewer",
    format: Annotated[  # noqa: A002
        str, typer.Option("--format", help="What stands on the wire: json or msgpack.")
    ] = "json",
    count: Annotated[int | None, typer.Option(min=1, help="End after so many cues.")] = None,
    types: Annotated[str | None, typer.Option(help="Only these cue types, separated by commas.")] = None,
    markets: Annotated[str | None, typer.Option(help="Only these markets, separated by commas.")] = None,
    teams: Annotated[str | None, typer.Option(help="Only these teams, separated by commas.")] = None,
    conflate_ms: Annotated[int, typer.Option(min=0, help="Of prices only the newest of that many ms.")] = 0,
    retry_for: Annotated[
        float, typer.Option("--retry-for", min=0, help="Try for so many seconds to come back when the server has gone.")
    ] = 10.0,
    json: Annotated[bool, typer.Option("--json", help="Print every frame as a line of JSON.")] = False,
) -> None:
    """Print a showing's cues as their pictures come out."""
    if format not in _FORMATS:
        raise typer.BadParameter("json or msgpack", param_hint="--format")
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise typer.BadParameter("a token is one line of ASCII, as `lockstep token` prints it", param_hint="--token")
    subscription: dict[str, Any] = {"mode": mode}
    for name, text in (("types", types), ("markets", markets), ("teams", teams)):
        if text is not None:
            subscription[name] = [part.strip() for part in text.split(",") if part.strip()]
    if conflate_ms:
        subscription["conflate_ms"] = conflate_ms
    try:
        url = socket_url(server, event)
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from None
    # What is worth knowing of reconnects goes to standard error: scripts read the other.
    configure_logs("warning")
    wish = Wish(url, token, subscription, count, json, _FORMATS[format], retry_for)
    raise typer.Exit(asyncio.run(_until_stopped(wish)))
