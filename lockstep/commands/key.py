"""`lockstep key`: the keys of operators."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from kernel.dates import format_date
from kernel.errors import SettingsError
from kernel.io.system_time import new_key, wall
from lockstep.keys import OperatorEntry, read_keys
from lockstep.operator_keys import (
    MAX_OVERLAP_S,
    create_operator,
    end_of,
    revoke_operator,
    rotate_operator,
    scopes_of,
    span_of,
)
from lockstep.settings import load_settings
from relay.operators import operator_key

Config = Annotated[Path | None, typer.Option(help="Settings file (TOML).")]
DataDir = Annotated[Path | None, typer.Option(help="Folder of keys.toml  [default: var]")]
Name = Annotated[str, typer.Argument(help="The operator's name.")]
Expires = Annotated[str | None, typer.Option(help="When it ends: ISO 8601 with a zone, or a span such as 90d.")]

commands = typer.Typer(
    help="Make, list, rotate and revoke operators' keys; running servers take it up within a second.",
    no_args_is_help=True,
)


@commands.command()
def create(
    name: Annotated[str, typer.Option(help="How logs and records call them.")],
    scopes: Annotated[
        str, typer.Option(help="What they may do: read, revoke, policy, showing, blackout, with commas.")
    ],
    expires: Expires = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Make a key and print it. It is told this once: only its hash is kept."""
    now, key = wall(), operator_key(new_key())
    create_operator(_folder(config, data_dir), name, key, scopes_of(scopes), expires=end_of(expires, now=now), now=now)
    typer.echo(key)


@commands.command(name="list")
def list_(
    config: Config = None,
    data_dir: DataDir = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")] = False,
) -> None:
    """Print all operators: what they may do, since when and until when."""
    now = wall()
    for entry in read_keys(_folder(config, data_dir)).operators.values():
        typer.echo(json.dumps(_map(entry, now)) if as_json else _line(entry, now))


@commands.command()
def rotate(
    name: Name,
    overlap: Annotated[str, typer.Option(help="How long the key before still counts: 0s, 24h, 7d.")] = "24h",
    expires: Expires = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Give an operator a new key and print it; the one before counts for a while yet."""
    overlap_s = span_of(overlap)
    if overlap_s > MAX_OVERLAP_S:
        raise SettingsError(f"--overlap {overlap}: use at most 30d")
    now, key = wall(), operator_key(new_key())
    rotate_operator(
        _folder(config, data_dir), name, key, overlap_s=overlap_s, expires=end_of(expires, now=now), now=now
    )
    typer.echo(key)


@commands.command()
def revoke(name: Name, config: Config = None, data_dir: DataDir = None) -> None:
    """End an operator's key, one that was rotated included."""
    revoke_operator(_folder(config, data_dir), name)


def _line(entry: OperatorEntry, now: float) -> str:
    one = _map(entry, now)
    parts = [str(one["name"]), " ".join(sorted(entry.operator.scopes))]
    parts += [f"{what} {one[what]}" for what in ("made", "expires") if one[what]]
    parts += [f"key before until {one['before_expires']}"] if one["before_expires"] else []
    parts += ["expired"] if one["expired"] else []
    return "  ".join(parts)


def _map(entry: OperatorEntry, now: float) -> dict[str, object]:
    operator, before = entry.operator, entry.before
    return {
        "name": operator.name,
        "scopes": sorted(operator.scopes),
        "made": _date(entry.made),
        "expires": _date(operator.expires),
        "expired": operator.expires is not None and operator.expires <= now,
        "before_expires": _date(before.expires) if before is not None and (before.expires or 0) > now else None,
    }


def _date(at: float | None) -> str | None:
    return None if at is None else format_date(at)


def _folder(config: Path | None, data_dir: Path | None) -> Path:
    return load_settings(config, {"data_dir": data_dir} if data_dir else None).data_dir
