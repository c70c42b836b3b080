"""The command line: `lockstep COMMAND`. Each command lives in a module of its own in `lockstep/commands`."""

from __future__ import annotations

import sys
from collections import UserDict
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from kernel.errors import LockstepError, SettingsError
from lockstep.logs import configure_logs

COMMANDS = {
    "serve": "serve:serve",
    "ingest": "apart:ingest",
    "relay": "apart:relay",
    "hub": "apart:hub",
    "subscribe": "subscribe:subscribe",
    "replay": "replay:replay",
    "revoke": "revoke:revoke",
    "origin": "origin:origin",
    "probe": "probe:probe",
    "align": "align:align_command",
    "demo": "demo:demo",
    "token": "token:commands",
    "key": "key:commands",
    "policy": "policy:commands",
    "esni": "esni:commands",
    "audit": "audit:commands",
    "feed": "feed:commands",
    "config": "config:commands",
}
"""Where each command stands in `lockstep/commands`, in the order in which help names them."""


class Commands(UserDict[str, Any]):
    """The commands by name, each imported when it is asked for: whoever wants a token waits for no server."""

    def __getitem__(self, name: str) -> Any:
        found = super().__getitem__(name)
        if isinstance(found, str):
            found = self.data[name] = _load(name, found)
        return found


def _load(name: str, place: str) -> Any:
    module, _, attribute = place.partition(":")
    one = getattr(import_module(f"lockstep.commands.{module}"), attribute)
    around = typer.Typer()
    if isinstance(one, typer.Typer):
        around.add_typer(one, name=name)
    else:
        around.command(name)(one)
    return get_group(around).commands[name]


class Root(TyperGroup):
    """All commands."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**{**attributes, "commands": Commands(COMMANDS)})


app = typer.Typer(
    name="lockstep",
    cls=Root,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _root() -> None:
    """Sports data in lockstep with the picture."""


def main() -> None:
    """Run the command line; what is wrong with the input is one line on standard error."""
    # Standard output is for answers; `serve` sets its own level.
    configure_logs("warning")
    try:
        app()
    except LockstepError as error:
        print(f"lockstep: {error}", file=sys.stderr)  # noqa: T201 - this is the command line
        # As typer does for its own: 2 says that the command was not understood, 1 that it failed.
        sys.exit(2 if isinstance(error, SettingsError) else 1)
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`).
        sys.exit(0)
