"""`lockstep policy`: policies of place, put in force, read, tried and looked over."""

from __future__ import annotations

import json
import sys
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer

from kernel.dates import format_date, parse_date
from kernel.errors import DecodeError, PlaylistError, SettingsError
from kernel.io.system_time import wall
from kernel.strict_json import decode, encode
from lockstep.asking import Server
from lockstep.audit_report import since_ms
from lockstep.commands.audit import opened
from lockstep.dry_run import Changed, dry_run
from lockstep.explaining import explained_lines, explained_map, fix_of, located
from lockstep.keys import read_keys
from lockstep.place_rules import compile_text, findings_of
from lockstep.settings import load_settings
from relay.place.explain import explain
from relay.policy_words import PATH, POLICY_ID, POLICY_LIMITS, text_of

ConfigFile = Annotated[Path | None, typer.Option("--config", help="Settings file (TOML).")]
DataDir = Annotated[Path | None, typer.Option(help="Folder of the data  [default: var]")]
To = Annotated[str, typer.Option(help="URL of the server.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
PolicyFile = Annotated[str, typer.Argument(metavar="FILE", help="The policy, JSON; - reads standard input.")]
PolicyId = Annotated[str, typer.Argument(metavar="ID", help="The policy's name.")]
IfVersion = Annotated[
    int | None, typer.Option(min=0, help="Only if this version is in force; 0: only if there is none.")
]
HERE = "http://127.0.0.1:8080"
_MS = 1000

commands = typer.Typer(help="Put, read, try and look over policies of place.", no_args_is_help=True)


@commands.command()
def put(
    file: PolicyFile, to: To = HERE, if_version: IfVersion = None, config: ConfigFile = None, data_dir: DataDir = None
) -> None:
    """Put a policy in force; print its version, and what is odd about it."""
    policy_id, text = _read(file)
    told = _server(to, config, data_dir).ask(
        "PUT", f"{PATH}/{policy_id}", content=text.encode(), headers=_if(if_version)
    )
    typer.echo(f"{policy_id} version {told['version']}")
    _print_findings(told.get("findings", []))


@commands.command()
def get(
    policy_id: PolicyId,
    version: Annotated[int | None, typer.Option(min=1, help="Which one; unset: the newest.")] = None,
    to: To = HERE,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Print a policy as JSON."""
    query = "" if version is None else f"?version={version}"
    told = _server(to, config, data_dir).ask("GET", f"{PATH}/{_named(policy_id)}{query}")
    typer.echo(json.dumps(told["policy"], indent=2, ensure_ascii=False))


@commands.command(name="list")
def list_(to: To = HERE, config: ConfigFile = None, data_dir: DataDir = None, *, as_json: AsJson = False) -> None:
    """Print all policies: version, size, when made and by whom."""
    for one in _server(to, config, data_dir).pages(PATH, "policies"):
        when = f"{format_date(one['made'] / _MS)}, {one['by']}"
        line = f"{one['policy_id']}  version {one['version']}, {one['bytes']} bytes, {when}"
        typer.echo(json.dumps(one) if as_json else line)


@commands.command()
def delete(
    policy_id: PolicyId,
    to: To = HERE,
    if_version: IfVersion = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Delete a policy: whoever needs it is refused from now on."""
    _server(to, config, data_dir).ask("DELETE", f"{PATH}/{_named(policy_id)}", headers=_if(if_version))


@commands.command(name="test")
def try_out(
    policy: Annotated[str, typer.Option(metavar="FILE|ID", help="A file, or a policy's name on the server.")],
    ip: Annotated[str, typer.Option(help="The client's address.")],
    gps: Annotated[str | None, typer.Option(metavar="LAT,LON[,ACCURACY_M]", help="What the device says.")] = None,
    event: Annotated[
        str | None, typer.Option(help="The showing, for the record: policies do not depend on it.")
    ] = None,
    at: Annotated[str | None, typer.Option(help="When: ISO 8601 with a zone; unset: now.")] = None,
    to: To = HERE,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Say what a policy makes of a viewer: the place found, each rule's outcome, and what decided."""
    now = wall() if at is None else _time(at)
    fix = None if gps is None else fix_of(gps, now)
    compiled = compile_text(_text(policy, to, config, data_dir))
    place, version = located(load_settings(config, {"data_dir": data_dir} if data_dir else None), ip)
    told = explain(compiled, place, fix, now=now)
    if as_json:
        typer.echo(json.dumps(explained_map(compiled.policy_id, place, version, told) | {"event_id": event, "at": now}))
        return
    for line in explained_lines(compiled.policy_id, place, version, told):
        typer.echo(line)


@commands.command()
def lint(file: PolicyFile, *, as_json: AsJson = False) -> None:
    """Say what is odd about a policy: rules that contradict each other, or never apply; exit 1 if anything is."""
    _, text = _read(file)
    found = findings_of(compile_text(text))
    if as_json:
        typer.echo(json.dumps(found))
    else:
        _print_findings(found)
    if found:
        raise typer.Exit(1)


@commands.command(name="dry-run")
def dry_run_(
    file: PolicyFile,
    since: Annotated[str, typer.Option(help="From when on: a span such as 24h or 7d, or an ISO 8601 date.")] = "24h",
    config: ConfigFile = None,
    data_dir: DataDir = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Say whom a policy would have cut or let in, had it been in force: the decisions on record, made again by it."""
    policy_id, text = _read(file)
    policy = compile_text(text)
    audit, chains = opened(config, data_dir)
    begin_ms = since_ms(since, wall())
    try:
        told = dry_run(
            chain.from_iterable(audit.entries(path, since_ms=begin_ms) for path in chains), policy_id, policy
        )
    except OSError as error:
        raise DecodeError(f"the audit cannot be read: {error}") from error
    groups = {"cut": told.cut, "let in": told.let_in, "refused otherwise": told.other}
    if as_json:
        told_ = {
            "policy_id": policy_id, "decisions": told.decisions, "sealed": told.sealed, "sessions": told.sessions,
            **{name.replace(" ", "_"): [one._asdict() for one in group] for name, group in groups.items()},
        }  # fmt: skip
        typer.echo(json.dumps(told_))
        return
    for name, group in groups.items():
        for one in sorted(group, key=lambda one: one.at_ms):
            typer.echo(f"{name}: {_line(one)}")
    sums = ", ".join(f"{len(group)} {name}" for name, group in groups.items())
    sealed = f"; {told.sealed} could not be made again, for their key is destroyed" if told.sealed else ""
    typer.echo(f"{told.decisions} decisions on {told.sessions} sessions: {sums}{sealed}")


def _line(one: Changed) -> str:
    before, after = (why or "admitted" for why in (one.before, one.after))
    return (
        f"{one.account} {one.session} {one.event_id} {one.scope}, {format_date(one.at_ms / _MS)}: "
        f"{before}, would have been {after}"
    )


def _read(file: str) -> tuple[str, str]:
    """Return a policy's name and canonical text.

    Raises:
        SettingsError: there is no such file.
        DecodeError: it is no policy.
    """
    try:
        content = sys.stdin.buffer.read(POLICY_LIMITS.max_bytes + 1) if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise SettingsError(f"{file}: {error.strerror or error}") from error
    policy = decode(content, POLICY_LIMITS)
    policy_id = policy.get("policy_id") if isinstance(policy, dict) else None
    if not isinstance(policy_id, str) or not POLICY_ID.fullmatch(policy_id):
        raise DecodeError(f"{file}: policy_id: 1 to 64 letters, digits, '_' or '-' are expected")
    return policy_id, text_of(policy_id, content)


def _text(policy: str, to: str, config: Path | None, data_dir: Path | None) -> str:
    """Return the text of a policy that is named by its file, or by its name on a server."""
    if policy == "-" or Path(policy).is_file():
        return _read(policy)[1]
    if not POLICY_ID.fullmatch(policy):
        raise SettingsError(f"--policy {policy!r:.80}: there is no such file, and it is no policy's name")
    return encode(_server(to, config, data_dir).ask("GET", f"{PATH}/{policy}")["policy"])


def _time(at: str) -> float:
    try:
        return parse_date(at)
    except PlaylistError as error:
        raise SettingsError(f"--at: {error}") from None


def _named(policy_id: str) -> str:
    if not POLICY_ID.fullmatch(policy_id):
        raise SettingsError(f"{policy_id!r:.80} is no policy's name: 1 to 64 letters, digits, '_' or '-'")
    return policy_id


def _server(to: str, config: Path | None, data_dir: Path | None) -> Server:
    settings = load_settings(config, {"data_dir": data_dir} if data_dir else None)
    return Server(to, read_keys(settings.data_dir).operator_key())


def _if(version: int | None) -> dict[str, str]:
    if version is None:
        return {}
    return {"If-Match": f'"{version}"'} if version else {"If-None-Match": "*"}


def _print_findings(found: list[dict[str, Any]]) -> None:
    for one in found:
        rule = f" (rule {one['rule']!r})" if one["rule"] else ""
        typer.echo(f"{one['kind']}: {one['path']}{rule}: {one['says']}")
