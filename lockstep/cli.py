"""The command line: `lockstep COMMAND`. Each command lives in a module of its own in `lockstep/commands`."""

from __future__ import annotations

import sys

import typer

from kernel.errors import LockstepError, SettingsError
from lockstep.commands import align, apart, config, demo, feed, origin, probe, replay, revoke, serve, subscribe, token
from lockstep.logs import configure_logs

app = typer.Typer(
    name="lockstep",
    help="Sports data in lockstep with the picture.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(serve.serve)
app.command()(apart.ingest)
app.command()(apart.relay)
app.command()(apart.hub)
app.command()(subscribe.subscribe)
app.command()(replay.replay)
app.command()(revoke.revoke)
app.command()(origin.origin)
app.command()(probe.probe)
app.command("align")(align.align_command)
app.command()(demo.demo)
app.add_typer(token.commands, name="token")
app.add_typer(feed.commands, name="feed")
app.add_typer(config.commands, name="config")


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
