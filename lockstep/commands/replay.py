"""`lockstep replay`: post a recorded game to a server as its vendor would, with its gaps and its corrections."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from feeds.standard_webhooks import parse_secret, sign
from kernel.errors import LockstepError, SettingsError
from kernel.io import system_time
from lockstep.replaying import Step, plan, read_recording

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import httpx2
    from rich.console import Console

GIVE_UP_S = 120.0
"""How long one message is tried: longer than a restart takes, shorter than anybody watches a replay that hangs."""

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0
REQUEST_TIMEOUT_S = 10.0
_AGAIN = frozenset({408, 425, 429})
"""Beside 5xx, the answers that say "later" (RFC 9110, 15.5.9; RFC 8470; RFC 6585)."""


class ReplayError(LockstepError):
    """Say why the server will not take a message, or that it cannot be reached."""


@dataclass(slots=True)
class Tally:
    """What became of the messages of a replay so far."""

    posted: int = 0
    facts: int = 0
    duplicates: int = 0
    retries: int = 0


class Sender:
    """Post signed messages, each until the server has it.

    Args:
        client: keeps the connection.
        url: where the source's messages go.
        secret: the source's key.
        wall: Unix seconds, for the signature.
        monotonic: seconds that never step back, to know when to give up.
        sleep: waits for some seconds.
        jitter: a random number from 0 up to 1.
    """

    def __init__(
        self,
        client: httpx2.Client,
        url: str,
        secret: bytes,
        *,
        wall: Callable[[], float] = system_time.wall,
        monotonic: Callable[[], float] = system_time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = system_time.fraction,
    ) -> None:
        self._client = client
        self._url = url
        self._secret = secret
        self._wall = wall
        self._monotonic = monotonic
        self._sleep = sleep
        self._jitter = jitter
        self.tally = Tally()

    def run(self, steps: Sequence[Step], *, run_id: str, progress: Callable[[int], None] = lambda _: None) -> None:
        """Post all steps at their time, those that are late at once.

        Args:
            steps: the plan.
            run_id: makes the message ids of this replay its own.
            progress: is told how many are posted.

        Raises:
            ReplayError: the server does not take one.
        """
        began, start = self._monotonic(), self._wall()
        for number, step in enumerate(steps):
            wait_s = began + step.after_s - self._monotonic()
            if wait_s > 0:
                self._sleep(wait_s)
            self._post(f"replay-{run_id}-{number}", step.rewrite(start))
            progress(number + 1)

    def _post(self, message_id: str, body: bytes) -> None:
        import httpx2

        until = self._monotonic() + GIVE_UP_S
        pause_s = FIRST_PAUSE_S
        while True:
            # The id stays, so a message that did arrive is not taken twice; the timestamp is of this attempt.
            timestamp = int(self._wall())
            headers = {
                "webhook-id": message_id,
                "webhook-timestamp": str(timestamp),
                "webhook-signature": sign(self._secret, message_id, timestamp, body),
                "content-type": "application/json",
            }
            try:
                answer = self._client.post(self._url, content=body, headers=headers)
            except httpx2.InvalidURL as error:
                raise ReplayError(f"{self._url} is no URL: {error}") from None
            except httpx2.UnsupportedProtocol as error:
                raise ReplayError(f"{self._url} is no http(s) URL: {error}") from None
            except httpx2.TransportError as error:
                why = f"cannot be reached ({str(error) or type(error).__name__})"
            else:
                if answer.is_success:
                    self._count(answer)
                    return
                why = f"answers {answer.status_code}{_detail(answer)}"
                if answer.status_code < 500 and answer.status_code not in _AGAIN:
                    raise ReplayError(f"{self._url} {why}")
            if self._monotonic() + pause_s > until:
                raise ReplayError(f"{self._url} {why}, for {GIVE_UP_S:g} s: is the server running there?")
            self.tally.retries += 1
            self._sleep(pause_s * (0.5 + self._jitter() / 2))
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _count(self, answer: httpx2.Response) -> None:
        self.tally.posted += 1
        try:
            said = answer.json()
            self.tally.facts += int(said["accepted"])
            self.tally.duplicates += bool(said["duplicate"])
        except (ValueError, KeyError, TypeError):
            return  # another server than ours: it has the message, and that is all we ask


def replay(
    file: Annotated[Path, typer.Argument(help="The recording: a vendor's document, a JSON list, or one a line.")],
    vendor: Annotated[str, typer.Option(help="Whose format it is in: lockstep or nba.")],
    source: Annotated[str, typer.Option(help="The source to post as; its secret is read from the keys.")],
    to: Annotated[str, typer.Option(help="The server.")] = "http://127.0.0.1:8080",
    speed: Annotated[float, typer.Option(help="How many times faster than it happened.")] = 1.0,
    data_dir: Annotated[Path | None, typer.Option(help="The server's data folder, where keys.toml lies.")] = None,
    config: Annotated[Path | None, typer.Option(help="The server's settings file.")] = None,
) -> None:
    """Post a recorded game as its vendor would: its gaps kept, its times moved to now, its corrections included."""
    import httpx2
    from rich.console import Console

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        steps = _read_plan(file, vendor, speed)
        secret = _secret(source, data_dir, config)
        url = f"{to.rstrip('/')}/api/v1/feeds/{source}"
        with httpx2.Client(timeout=REQUEST_TIMEOUT_S, trust_env=False) as client:
            _run(Sender(client, url, secret), steps, console)
    except KeyboardInterrupt:
        # 128 + SIGINT, as a shell reports a program that was interrupted.
        raise typer.Exit(130) from None


def _run(sender: Sender, steps: Sequence[Step], console: Console) -> None:
    from rich.progress import Progress

    try:
        if console.is_terminal:
            with Progress(console=console, transient=True) as bar:
                task = bar.add_task("replay", total=len(steps))
                _send(sender, steps, lambda done: bar.update(task, completed=done))
        else:
            _send(sender, steps, lambda _: None)
    finally:
        tally = sender.tally
        console.print(
            f"replayed {tally.posted} of {len(steps)} messages: {tally.facts} facts, {tally.duplicates} duplicates, "
            f"{tally.retries} retries",
            markup=False,
        )


def _send(sender: Sender, steps: Sequence[Step], progress: Callable[[int], None]) -> None:
    sender.run(steps, run_id=system_time.new_id(9), progress=progress)


def _read_plan(file: Path, vendor: str, speed: float) -> list[Step]:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror or error}") from None
    steps = plan(read_recording(data), vendor, speed)
    if not steps:
        raise SettingsError(f"{file} holds nothing to post")
    return steps


def _secret(source: str, data_dir: Path | None, config: Path | None) -> bytes:
    from lockstep.keys import FILE_NAME, read_keys
    from lockstep.settings import load_settings

    folder = data_dir if data_dir is not None else load_settings(config).data_dir
    secrets = read_keys(folder).webhook_secrets
    if source not in secrets:
        known = ", ".join(sorted(secrets)) or "none"
        raise SettingsError(
            f"{folder / FILE_NAME} holds no secret of source {source!r} (there are: {known}): start `lockstep serve` "
            f"with --source {source}=VENDOR, or name the source it has"
        )
    return parse_secret(secrets[source])


def _detail(answer: httpx2.Response) -> str:
    """Return what a problem document says, in a form fit for one line of a terminal."""
    try:
        said = answer.json()
        text = said.get("detail") or said.get("title")
    except (ValueError, AttributeError):
        return ""
    printable = "".join(char if char.isprintable() else "?" for char in str(text)[:500])
    return f": {printable}" if text else ""
