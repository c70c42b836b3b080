"""`lockstep feed`: what an operator asks of the vendors' feeds."""

from __future__ import annotations

import json
from typing import Annotated, Any

import httpx2
import typer
from rich.console import Console
from rich.table import Table

from kernel.errors import LockstepError

TIMEOUT_S = 10.0
WIDE = 240
COLUMNS = ("showing", "source", "state", "lag p50", "lag p99", "skew", "late", "hold", "why")

commands = typer.Typer(help="Ask how the vendors' feeds are.", no_args_is_help=True)


class FeedError(LockstepError):
    """Say why a server does not tell how its feeds are."""


@commands.callback()
def _group() -> None:
    """Keep `status` a command of its own, also while it is the only one."""


@commands.command()
def status(
    to: Annotated[str, typer.Option(help="URL of the server, on this machine.")] = "http://127.0.0.1:8080",
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print what the server says, as JSON.")] = False,
) -> None:
    """Print how each source is: its state, lag, clock, late cues, and the hold of its showing."""
    told = ask(to)
    if as_json:
        typer.echo(json.dumps(told, indent=2))
        return
    table = Table(*COLUMNS, box=None, pad_edge=False)
    for row in rows_of(told):
        table.add_row(*row)
    # Where nobody looks at it, the lines are as long as they need to be.
    console = Console()
    (console if console.is_terminal else Console(width=WIDE)).print(table)


def ask(to: str) -> dict[str, Any]:
    """Return what a server says of its feeds.

    Raises:
        FeedError: it cannot be reached, or does not answer.
    """
    url = f"{to.rstrip('/')}/api/v1/feeds"
    try:
        answer = httpx2.get(url, timeout=TIMEOUT_S, trust_env=False)
    except (httpx2.TransportError, httpx2.InvalidURL) as error:
        raise FeedError(f"{url} cannot be reached: {error}; is `lockstep serve` running there?") from error
    if answer.status_code != 200:
        raise FeedError(f"{url} answered {answer.status_code}: ask from the machine that it runs on")
    told: dict[str, Any] = answer.json()
    return told


def rows_of(told: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return the table's rows: one for each source."""
    return [
        (
            showing["event_id"],
            source["source"],
            source["state"],
            _seconds(source["lag_p50_s"]),
            _seconds(source["lag_p99_s"]),
            _seconds(source["skew_s"]),
            "-" if source["late_share"] is None else f"{source['late_share']:.1%}",
            f"{showing['hold_s']:.2f} s" + (" (auto)" if showing["hold"] == "auto" else ""),
            source["why"],
        )
        for showing in told["showings"]
        for source in showing["sources"]
    ]


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"
