"""`lockstep esni`: blackouts and policies from documents of ANSI/SCTE 224, and back."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from kernel.dates import parse_date
from kernel.errors import DecodeError, SettingsError
from kernel.io.system_time import wall
from kernel.showings import EVENT_ID
from kernel.strict_json import Limits, decode, encode
from lockstep.asking import AskError, Server
from lockstep.keys import read_keys
from lockstep.settings import load_settings
from relay.blackout_words import PATH as BLACKOUTS
from relay.esni.elements import MAX_BYTES
from relay.esni.exporting import export_event
from relay.esni.findings import Finding
from relay.esni.importing import Imported, import_documents
from relay.policy_words import PATH as POLICIES

ConfigFile = Annotated[Path | None, typer.Option("--config", help="Settings file (TOML).")]
DataDir = Annotated[Path | None, typer.Option(help="Folder of the data  [default: var]")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Files = Annotated[list[str], typer.Argument(metavar="FILE...", help="Documents that refer to each other; - is stdin.")]
Contents = Annotated[
    list[str] | None,
    typer.Option("--content", metavar="URI=EVENT", help="The showing that an alternate content is; others block."),
]
HERE = "http://127.0.0.1:8080"
SHOWINGS = "/api/v1/showings"
_LIMITS = Limits(max_bytes=16 << 20, max_depth=48, max_nodes=1_000_000)
_UNNAMED = "unnamed"
_MS = 1000

commands = typer.Typer(help="Take over and write documents of SCTE 224 (ESNI).", no_args_is_help=True)


@commands.command(name="import")
def import_(
    files: Files,
    event: Annotated[str | None, typer.Option(help="The showing; unset: media name it.")] = None,
    content: Contents = None,
    to: Annotated[str | None, typer.Option(help="URL of a server, which is told all of it; unset: none is.")] = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    *,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse what has findings.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Write over policies of these names.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say which blackouts and policies documents are; with --to put them in force. Findings go to standard error."""
    told = import_documents(_read(files), event_id=_event(event), contents=_contents(content))
    for line in _lines(told.findings):
        typer.echo(line, err=True)
    if strict and told.findings:
        raise DecodeError(f"{len(told.findings)} findings, and --strict: nothing is taken over")
    if to is not None:
        _tell(told, _server(to, config, data_dir), replace=replace)
    if as_json:
        typer.echo(json.dumps(_as_map(told)))
        return
    for blackout in told.blackouts:
        typer.echo(_blackout_line(blackout))
    for policy in told.policies:
        typer.echo(f"policy {policy['policy_id']}: {len(policy['watch']['rules'])} rules that refuse")


@commands.command()
def export(
    event: Annotated[str, typer.Option(help="The showing.")],
    source: Annotated[
        str | None, typer.Option("--from", metavar="FILE", help="What `import --json` printed; unset: a server.")
    ] = None,
    to: Annotated[str, typer.Option(help="URL of the server.")] = HERE,
    config: ConfigFile = None,
    data_dir: DataDir = None,
) -> None:
    """Print a showing's blackouts, and its policy of place, as a document. Findings go to standard error."""
    event_id = _event(event) or ""
    if source is not None:
        blackouts, policies = _kept(source)
        blackouts = [one for one in blackouts if one.get("event_id") == event_id]
    else:
        blackouts, policies = _of_server(_server(to, config, data_dir), event_id)
    told = export_event(event_id, blackouts, policies, updated_ms=int(wall() * _MS))
    for line in _lines(told.findings):
        typer.echo(line, err=True)
    typer.echo(told.document.decode(), nl=False)


@commands.command()
def lint(files: Files, content: Contents = None, *, as_json: AsJson = False) -> None:
    """Say what is not understood of documents, or taken wider than it is written; exit 1 if anything is."""
    told = import_documents(_read(files), contents=_contents(content), unnamed=_UNNAMED)
    if as_json:
        typer.echo(json.dumps(_as_map(told)["findings"]))
    else:
        for line in _lines(told.findings):
            typer.echo(line)
    if told.findings:
        raise typer.Exit(1)


def _read(files: list[str]) -> list[tuple[str, bytes]]:
    return [(name, _content(name, MAX_BYTES)) for name in files]


def _content(name: str, most: int) -> bytes:
    try:
        if name == "-":
            return sys.stdin.buffer.read(most + 1)
        with Path(name).open("rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise SettingsError(f"{name}: {error.strerror or error}") from error


def _event(event: str | None) -> str | None:
    if event is not None and not EVENT_ID.fullmatch(event):
        raise SettingsError(f"--event {event!r:.80} is no showing: 1 to 64 letters, digits, '_' or '-'")
    return event


def _contents(content: list[str] | None) -> dict[str, str]:
    found = {}
    for one in content or ():
        uri, _, event = one.rpartition("=")
        if not uri or not EVENT_ID.fullmatch(event):
            raise SettingsError(f"--content {one!r:.80}: the content's URI, '=', and a showing are expected")
        found[uri] = event
    return found


def _kept(source: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    kept = decode(_content(source, _LIMITS.max_bytes), _LIMITS)
    lists = [kept.get(name, []) for name in ("blackouts", "policies")] if isinstance(kept, dict) else []
    if len(lists) < 2 or not all(isinstance(one, list) and all(isinstance(it, dict) for it in one) for one in lists):
        raise DecodeError(f"{source}: an object with the lists `blackouts` and `policies` is expected")
    return lists[0], lists[1]


def _of_server(server: Server, event_id: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    showing = server.ask("GET", f"{SHOWINGS}/{event_id}")
    listed = [one for one in server.pages(BLACKOUTS, "blackouts") if one["event_id"] == event_id]
    policy_id = showing.get("place_policy")
    policies = [server.ask("GET", f"{POLICIES}/{policy_id}")["policy"]] if policy_id else []
    return [one["blackout"] for one in listed], policies


def _tell(told: Imported, server: Server, *, replace: bool) -> None:
    """Put all in force; blackouts first, for without them too many may watch."""
    now, done = wall(), 0
    try:
        for blackout in told.blackouts:
            if "end" in blackout and parse_date(blackout["end"]) <= now:
                typer.echo(f"{_blackout_line(blackout)}: it has ended, and is not made", err=True)
                continue
            server.ask("POST", BLACKOUTS, content=encode(blackout).encode())
            done += 1
        for policy in told.policies:
            # A policy of that name may be somebody else's, and stricter.
            headers = None if replace else {"If-None-Match": "*"}
            content = encode(policy).encode()
            server.ask("PUT", f"{POLICIES}/{policy['policy_id']}", content=content, headers=headers)
            done += 1
    except AskError as error:
        rest = f"{done} of {len(told.blackouts) + len(told.policies)} are in force"
        raise AskError(f"{error}; {rest}, the others are not", error.status) from error


def _server(to: str, config: Path | None, data_dir: Path | None) -> Server:
    settings = load_settings(config, {"data_dir": data_dir} if data_dir else None)
    return Server(to, read_keys(settings.data_dir).operator_key())


def _as_map(told: Imported) -> dict[str, Any]:
    return {
        "blackouts": list(told.blackouts),
        "policies": list(told.policies),
        "findings": [{"kind": one.kind.value, **one.at._asdict(), "says": one.text} for one in told.findings],
    }


def _lines(findings: tuple[Finding, ...]) -> list[str]:
    return [
        f"{one.at.document}:{one.at.line}: {one.kind}: {one.at.path}: {one.text}"
        if one.at.document
        else f"{one.kind}: {one.at.path}: {one.text}"
        for one in findings
    ]


def _blackout_line(blackout: dict[str, Any]) -> str:
    zones = ", ".join(dict.fromkeys(f"{zone['type']} {zone['action']}" for zone in blackout["blackout_zones"]))
    start, end = _when(blackout, "start", "now"), _when(blackout, "end", "its deletion")
    return f"blackout {blackout['event_id']} from {start} to {end}: {zones}"


def _when(blackout: dict[str, Any], name: str, absent: str) -> str:
    media = blackout.get(f"{name}_media")
    return blackout.get(name, absent) if media is None else f"{media['tl']}/{media['pts']}"
