"""`lockstep revoke`: take grants back, and give them again."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any

import httpx2
import typer

from kernel.dates import format_date
from kernel.errors import LockstepError, SettingsError
from kernel.revocation import SubjectKind
from lockstep.keys import read_keys
from lockstep.settings import load_settings

PATH = "/api/v1/revocations"
TIMEOUT_S = 10.0
_MS = 1000
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class RevokeError(LockstepError):
    """Say why a server does not revoke."""


def revoke(
    token_id: Annotated[str | None, typer.Option(help="Revoke one token, by its jti.")] = None,
    session: Annotated[str | None, typer.Option(help="Revoke a session, by its sid.")] = None,
    account: Annotated[str | None, typer.Option(help="Revoke an account; with --event, at that event only.")] = None,
    event: Annotated[str | None, typer.Option(help="Revoke all tokens of an event.")] = None,
    key: Annotated[str | None, typer.Option(help="Revoke all tokens signed with a key, by its key id.")] = None,
    reason: Annotated[str, typer.Option(help="Why, for the record; viewers are not told.")] = "",
    expires: Annotated[str | None, typer.Option(help="When it ends by itself: ISO 8601 with a zone.")] = None,
    undo: Annotated[str | None, typer.Option(help="Undo the revocation with this id.")] = None,
    to: Annotated[str, typer.Option(help="URL of the server.")] = "http://127.0.0.1:8080",
    data_dir: Annotated[Path | None, typer.Option(help="Folder of keys.toml  [default: var]")] = None,
    config: Annotated[Path | None, typer.Option(help="Settings file (TOML).")] = None,
    *,
    list_: Annotated[bool, typer.Option("--list", help="Print all that are in force.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")] = False,
) -> None:
    """Revoke a token, a session, an account, an event or a signing key; undo that; or list what is revoked."""
    named = {
        kind: value
        for kind, value in (
            (SubjectKind.TOKEN, token_id), (SubjectKind.SESSION, session), (SubjectKind.ACCOUNT, account),
            (SubjectKind.EVENT, event), (SubjectKind.KEY, key),
        )
        if value is not None
    }  # fmt: skip
    if bool(named) + (undo is not None) + list_ != 1:
        raise SettingsError("name what to revoke (--token-id, --session, --account, --event, --key), --undo or --list")
    settings = load_settings(config, {"data_dir": data_dir} if data_dir else None)
    server = Server(to, read_keys(settings.data_dir).operator_key())
    if list_:
        for one in server.all():
            _print(one, as_json=as_json)
    elif undo is not None:
        if not _ID.fullmatch(undo):
            raise SettingsError(f"--undo {undo!r:.80} is no id of a revocation: `lockstep revoke --list` prints them")
        server.ask("DELETE", f"{PATH}/{undo}")
    else:
        body: dict[str, Any] = {**_subject(named), "reason": reason}
        if expires is not None:
            body["expires"] = expires
        _print(server.ask("POST", PATH, json=body), as_json=as_json)


def _subject(named: dict[SubjectKind, str]) -> dict[str, str]:
    if named.keys() == {SubjectKind.ACCOUNT, SubjectKind.EVENT}:
        return {"kind": "account", "value": named[SubjectKind.ACCOUNT], "event_id": named[SubjectKind.EVENT]}
    if len(named) > 1:
        raise SettingsError("one revocation names one thing; only --account and --event go together")
    ((kind, value),) = named.items()
    return {"kind": kind.value, "value": value}


class Server:
    """A server's revocations, by an operator's key."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"}

    def ask(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        """Ask for something and return the answer's object, empty where it has none.

        Raises:
            RevokeError: the server cannot be reached, or refuses.
        """
        url = self._url + path
        try:
            answer = httpx2.request(method, url, headers=self._headers, timeout=TIMEOUT_S, trust_env=False, **more)
        except (httpx2.TransportError, httpx2.InvalidURL) as error:
            raise RevokeError(f"{url} cannot be reached: {error}; is `lockstep serve` running there?") from error
        if answer.status_code == 401:
            raise RevokeError(f"{url} does not know the operator's key: name the server's own --data-dir")
        if answer.status_code == 404 and method == "DELETE":
            raise RevokeError("no revocation in force has that id: `lockstep revoke --list` prints them")
        if not answer.is_success:
            raise RevokeError(f"{url} answered {answer.status_code}: {_detail(answer)}")
        told: dict[str, Any] = answer.json() if answer.content else {}
        return told

    def all(self) -> list[dict[str, Any]]:
        """Return all revocations in force, page by page."""
        found: list[dict[str, Any]] = []
        after: int | None = 0
        while after is not None:
            page = self.ask("GET", f"{PATH}?limit=1000&after={after}")
            found += page["revocations"]
            after = page["next_after"]
        return found


def _detail(answer: httpx2.Response) -> str:
    try:
        told = answer.json()
    except ValueError:
        return answer.reason_phrase
    return str(told.get("detail", told.get("title"))) if isinstance(told, dict) else answer.reason_phrase


def _print(one: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(one))
        return
    at = f" at {one['event_id']}" if "event_id" in one else ""
    until = "" if one["expires"] is None else f", until {format_date(one['expires'] / _MS)}"
    why = f": {one['reason']}" if one["reason"] else ""
    typer.echo(f"{one['id']}  {one['kind']} {one['value']}{at}, since {format_date(one['made'] / _MS)}{until}{why}")
