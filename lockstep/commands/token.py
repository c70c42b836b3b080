"""`lockstep token`: issue a session or an entitlement token; check or sign any; rotate the keys that sign them."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from kernel.decisions import Scope
from kernel.errors import DecodeError, SettingsError
from kernel.io.system_time import new_id, wall
from kernel.showings import EVENT_ID
from kernel.strict_json import CLIENT_LIMITS, decode
from kernel.tokens import MAX_TOKEN_CHARS, Claims, Purpose
from lockstep.admission import issuer_verifier
from lockstep.keys import read_keys, rotate_keys
from lockstep.settings import Settings, load_settings
from lockstep.token_report import report
from relay.sessions.policy_text import PLAN

MAX_TTL_S = 30 * 86_400
"""A token cannot be called back while it is not asked for: a month is the longest that entitlements run."""

ROTATION_WAIT_S = 2.0
"""Four times as long as a running server takes to look at its keys again (`lockstep/key_watch.py`)."""

Config = Annotated[Path | None, typer.Option(help="Settings file (TOML).")]
DataDir = Annotated[Path | None, typer.Option(help="Folder of keys.toml  [default: var]")]

commands = typer.Typer(invoke_without_command=True)


@commands.callback()
def token(
    context: typer.Context,
    event: Annotated[str, typer.Option(help="Event id the token admits to.")] = "",
    account: Annotated[str, typer.Option(help="Account it belongs to.")] = "",
    scope: Annotated[str, typer.Option(help="Comma-separated: watch, wager, server, trading.")] = "watch,wager",
    geo: Annotated[str, typer.Option(help="Policy of place that the token names.")] = "",
    plan: Annotated[str, typer.Option(help="Plan that was subscribed to; sessions are counted by it.")] = "",
    ttl: Annotated[int, typer.Option(help="Seconds until it expires.")] = 3600,
    purpose: Annotated[
        Purpose, typer.Option(help="`entitlement`: exchanged for a session at the top playlist, and nothing else.")
    ] = Purpose.SESSION,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Print a token, and nothing else; or check one, sign claims of your own, rotate the keys."""
    if context.invoked_subcommand is not None:
        return
    if not event or not account:
        raise SettingsError(
            "name the showing with --event and the viewer with --account, or a command: check, sign, rotate"
        )
    if not EVENT_ID.fullmatch(event):
        raise SettingsError(f"--event {event!r}: use 1 to 64 letters, digits, '_' or '-'")
    if len(account) > 128:
        raise SettingsError("--account: an account has 1 to 128 characters")
    if geo and not EVENT_ID.fullmatch(geo):
        raise SettingsError(f"--geo {geo!r}: a policy's name has 1 to 64 letters, digits, '_' or '-'")
    if plan and not PLAN.fullmatch(plan):
        raise SettingsError(f"--plan {plan!r}: use 1 to 64 letters, digits, '_', '-', '.' or ':'")
    if not 1 <= ttl <= MAX_TTL_S:
        raise SettingsError(f"--ttl {ttl}: use 1 to {MAX_TTL_S} seconds")
    scopes = frozenset(part.strip() for part in scope.split(",") if part.strip())
    unknown = scopes - set(Scope)
    if unknown or not scopes:
        raise SettingsError(f"--scope {scope!r}: use one or more of {', '.join(Scope)}")
    now = int(wall())
    claims = Claims(
        jti=new_id(),
        account=account,
        event_id=event,
        # Whoever verifies it may have a clock that is a little behind ours.
        not_before=now - 30,
        expires=now + ttl,
        window=(now - 30, now + ttl),
        session=new_id(),
        scopes=scopes,
        geo=geo or None,
        plan=plan or None,
    )
    typer.echo(read_keys(_folder(config, data_dir)).keyring().issue(claims, purpose))


@commands.command()
def check(
    text: Annotated[str, typer.Argument(metavar="TOKEN", help="The token; '-' reads it from standard input.")],
    config: Config = None,
    data_dir: DataDir = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what a token claims, which key signed it, and whether it is valid now. Exit code 1 if it is not."""
    if text == "-":
        # A little more than fits, so that one that is too long is seen to be.
        text = sys.stdin.read(2 * MAX_TOKEN_CHARS).strip()
    settings = _settings(config, data_dir)
    told = report(text, read_keys(settings.data_dir).signing, now=wall(), elsewhere=issuer_verifier(settings))
    typer.echo(told.to_json() if as_json else "\n".join(told.lines()))
    if not told.valid:
        raise typer.Exit(1)


@commands.command()
def sign(
    claims_file: Annotated[str, typer.Option(help="File with the claims, a JSON object; '-' is standard input.")] = "-",
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Print a token with claims of your own, as they stand, if a server would take them for genuine."""
    content = _content(claims_file)
    try:
        payload = decode(content, CLIENT_LIMITS)
    except DecodeError as error:
        raise SettingsError(f"the claims are not JSON that a token may hold: {error}") from None
    if not isinstance(payload, dict):
        raise SettingsError("the claims are no JSON object")
    keys = read_keys(_folder(config, data_dir))
    try:
        signed = keys.keyring().sign(payload)
    except TypeError as error:
        raise SettingsError(f"the claims cannot be signed: {error}") from None
    told = report(signed, keys.signing, now=wall())
    # One that has expired is a fine thing to test with; one that would be taken for forged is a mistake.
    if not told.genuine or told.why in ("bad_claims", "wrong_purpose"):
        raise SettingsError(f"no server would take this token: {told.detail}")
    typer.echo(signed)


@commands.command()
def rotate(
    wait: Annotated[float, typer.Option(help="Seconds that running servers get to take up the new key.")] = (
        ROTATION_WAIT_S
    ),
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Make a new signing key, keep the present one as still accepted, drop the one before. No server restarts."""
    if not 0 <= wait <= 3600:
        raise SettingsError(f"--wait {wait:g}: use 0 to 3600 seconds")
    done = rotate_keys(_folder(config, data_dir), lambda: time.sleep(wait))
    typer.echo(f"signs     {done.signing}")
    typer.echo(f"accepted  {done.accepted}")
    for kid in done.dropped:
        typer.echo(f"dropped   {kid}")


def _folder(config: Path | None, data_dir: Path | None) -> Path:
    return _settings(config, data_dir).data_dir


def _settings(config: Path | None, data_dir: Path | None) -> Settings:
    return load_settings(config, {"data_dir": data_dir} if data_dir else None)


def _content(name: str) -> bytes:
    limit = CLIENT_LIMITS.max_bytes + 1
    if name == "-":
        return sys.stdin.buffer.read(limit)
    try:
        with Path(name).open("rb") as file:
            return file.read(limit)
    except OSError as error:
        raise SettingsError(f"the claims in {name} cannot be read: {error}") from error
