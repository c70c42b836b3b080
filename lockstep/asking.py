"""Asking a server's API with an operator's key, from the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx2

from kernel.errors import LockstepError

TIMEOUT_S = 30.0
"""The largest policy takes a second to compile; the rest is patience with a busy server."""


class AskError(LockstepError):
    """Say why a server does not do what is asked; `status` is its answer's, None where there was none."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


class Server:
    """A server's API.

    Args:
        url: where it is, such as http://127.0.0.1:8080.
        key: an operator's.
    """

    def __init__(self, url: str, key: str) -> None:
        self._url = url.rstrip("/")
        self._key = key

    def ask(
        self, method: str, path: str, *, content: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Ask for something and return the answer's object, empty where it has none.

        Raises:
            AskError: the server cannot be reached, or refuses.
        """
        url = self._url + path
        shown = {"Authorization": f"Bearer {self._key}", **(headers or {})}
        if content is not None:
            shown["Content-Type"] = "application/json"
        try:
            answer = httpx2.request(method, url, headers=shown, content=content, timeout=TIMEOUT_S, trust_env=False)
        except (httpx2.TransportError, httpx2.InvalidURL) as error:
            raise AskError(f"{url} cannot be reached: {error}; is `lockstep serve` running there?") from error
        if answer.status_code == 401:
            raise AskError(f"{url} does not know the operator's key: name the server's own --data-dir", 401)
        if not answer.is_success:
            raise AskError(f"{url} answered {answer.status_code}: {_detail(answer)}", answer.status_code)
        told: dict[str, Any] = answer.json() if answer.content else {}
        return told

    def pages(self, path: str, name: str) -> list[dict[str, Any]]:
        """Return all entries of a list, page by page.

        Args:
            path: of the list.
            name: of the entries in the answer.

        Raises:
            AskError: as for `ask`.
        """
        found: list[dict[str, Any]] = []
        after: int | None = 0
        while after is not None:
            page = self.ask("GET", f"{path}?limit=1000&after={after}")
            found += page[name]
            after = page["next_after"]
        return found


def _detail(answer: httpx2.Response) -> str:
    try:
        told = answer.json()
    except ValueError:
        return answer.reason_phrase
    return str(told.get("detail", told.get("title"))) if isinstance(told, dict) else answer.reason_phrase
