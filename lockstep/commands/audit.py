"""`lockstep audit`: whether the record of decisions is whole and true, and what stands in it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import typer

from kernel.errors import DecodeError, LockstepError, SettingsError
from kernel.io.system_time import wall
from lockstep.audit_report import Wanted, line_of, map_of, missing_keys, since_ms, verified_lines, verified_map
from lockstep.place_rules import compile_text
from lockstep.settings import load_settings
from relay.io.audit_reader import Audit, Texts
from relay.io.audit_store import FOLDER

ConfigFile = Annotated[Path | None, typer.Option("--config", help="Settings file (TOML).")]
DataDir = Annotated[Path | None, typer.Option(help="Folder of the data  [default: var]")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]

_LINK = re.compile(r"[0-9a-f]{64}")

commands = typer.Typer(help="Verify and show the record of decisions.", no_args_is_help=True)


class AuditError(LockstepError):
    """Say why the audit cannot be looked at."""


def opened(config: Path | None, data_dir: Path | None) -> tuple[Audit, list[Path]]:
    """Return the audit of a deployment, and its chains.

    Raises:
        AuditError: there are none.
    """
    folder = load_settings(config, {"data_dir": data_dir} if data_dir else None).data_dir / FOLDER
    audit = Audit(folder)
    chains = audit.chains()
    if not chains:
        raise AuditError(f"there is no audit in {folder}: name the server's own --data-dir")
    return audit, chains


@commands.command()
def verify(
    noted: Annotated[
        list[str] | None, typer.Option(help="A hash that an earlier run has printed: a chain must still have it.")
    ] = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Walk every chain, and make each decision again whose key is still there; exit 1 if anything is wrong."""
    links = {_link(text) for text in noted or ()}
    audit, chains = opened(config, data_dir)
    retention_days = load_settings(config, {"data_dir": data_dir} if data_dir else None).audit.retention_days
    texts = Texts(compile_text)
    n_faults, met = 0, set[bytes]()
    for path in chains:
        told = audit.verify(path, texts, links=links)
        n_faults += told.n_faults
        met |= told.met
        missing = missing_keys(told, wall(), retention_days)
        for line in [json.dumps(verified_map(told, missing))] if as_json else verified_lines(told, missing):
            typer.echo(line)
    for link in sorted(links - met):
        typer.echo(f"{link.hex()}: no chain has it any more: what came before it was changed", err=True)
    if n_faults or links - met:
        raise typer.Exit(1)


def _link(text: str) -> bytes:
    if not _LINK.fullmatch(text):
        raise SettingsError(f"--noted {text!r:.80}: 64 hexadecimal digits are expected, as `verify` prints them")
    return bytes.fromhex(text)


@commands.command()
def show(
    session: Annotated[str | None, typer.Option(help="Decisions on a session, by its sid.")] = None,
    account: Annotated[str | None, typer.Option(help="Decisions on an account.")] = None,
    event: Annotated[str | None, typer.Option(help="Decisions at an event.")] = None,
    since: Annotated[str, typer.Option(help="From when on: a span such as 24h or 7d, or an ISO 8601 date.")] = "24h",
    config: ConfigFile = None,
    data_dir: DataDir = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Print the decisions on a session or an account, or at an event, in the order of their time."""
    if session is None and account is None and event is None:
        raise SettingsError("name whose decisions are wanted: --session, --account or --event")
    wanted, begin_ms = Wanted(session, account, event), since_ms(since, wall())
    audit, chains = opened(config, data_dir)
    found = []
    for path in chains:
        try:
            found += [
                (path.stem, entry) for entry in audit.entries(path, since_ms=begin_ms) if wanted.includes(entry[0])
            ]
        except (DecodeError, OSError) as error:
            typer.echo(f"{path.name}: {error}: run `lockstep audit verify`", err=True)
    for node, entry in sorted(found, key=lambda one: one[1].record.at_ms):
        typer.echo(json.dumps(map_of(node, entry)) if as_json else line_of(node, entry))
