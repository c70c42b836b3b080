"""`lockstep token`: issue a session token."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kernel.decisions import Scope
from kernel.errors import SettingsError
from kernel.io.system_time import new_id, wall
from kernel.showings import EVENT_ID
from kernel.tokens import Claims
from lockstep.keys import read_keys
from lockstep.settings import load_settings

MAX_TTL_S = 30 * 86_400
"""A token cannot be called back while it is not asked for: a month is the longest that entitlements run."""


def token(
    event: Annotated[str, typer.Option(help="Event id the token admits to.")],
    account: Annotated[str, typer.Option(help="Account it belongs to.")],
    scope: Annotated[str, typer.Option(help="Comma-separated: watch, wager, server, trading.")] = "watch,wager",
    ttl: Annotated[int, typer.Option(help="Seconds until it expires.")] = 3600,
    config: Annotated[Path | None, typer.Option(help="Settings file (TOML).")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder of keys.toml  [default: var]")] = None,
) -> None:
    """Print a session token, and nothing else."""
    if not EVENT_ID.fullmatch(event):
        raise SettingsError(f"event id {event!r}: use 1 to 64 letters, digits, '_' or '-'")
    if not account or len(account) > 128:
        raise SettingsError("an account has 1 to 128 characters")
    if not 1 <= ttl <= MAX_TTL_S:
        raise SettingsError(f"--ttl {ttl}: use 1 to {MAX_TTL_S} seconds")
    scopes = frozenset(part.strip() for part in scope.split(",") if part.strip())
    unknown = scopes - set(Scope)
    if unknown or not scopes:
        raise SettingsError(f"--scope {scope!r}: use one or more of {', '.join(Scope)}")
    settings = load_settings(config, {"data_dir": data_dir} if data_dir else None)
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
    )
    typer.echo(read_keys(settings.data_dir).keyring().issue(claims))
