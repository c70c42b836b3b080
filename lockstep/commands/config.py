"""`lockstep config`: check and show the settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from lockstep.admission import issuer_verifier
from lockstep.settings import load_settings
from lockstep.showings.origins import urls_of
from relay.io.locator import Locator

ConfigFile = Annotated[Path | None, typer.Option("--config", help="Settings file (TOML).")]

commands = typer.Typer(help="Check and show the settings.", no_args_is_help=True)


@commands.command()
def check(config: ConfigFile = None) -> None:
    """Say whether `serve` would take the settings; exit 1 and name what is wrong if not."""
    settings = load_settings(config)
    showings = settings.to_showings()
    settings.to_proxies()
    issuer_verifier(settings)
    locator = Locator(settings.place.to_files())
    locator.open()
    locator.close()
    urls_of(settings.showings_api.origin_hosts)
    typer.echo(f"ok: {len(showings)} showing(s), data in {settings.data_dir}")


@commands.command()
def show(config: ConfigFile = None) -> None:
    """Print the settings in force, file and environment taken together, as JSON."""
    typer.echo(json.dumps(load_settings(config).model_dump(mode="json"), indent=2))
