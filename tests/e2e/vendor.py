"""A vendor that signs and posts, for end-to-end tests."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2

from feeds.standard_webhooks import parse_secret, sign
from kernel.io.system_time import wall


class Vendor:
    """Post facts in Lockstep's own format to one source, signed at `clock`."""

    def __init__(self, url: str, data_dir: Path, source: str = "desk", clock: Callable[[], float] = wall) -> None:
        content = tomllib.loads((data_dir / "keys.toml").read_text("utf-8"))
        self._secret = parse_secret(content["webhooks"][source])
        self.url = f"{url}/api/v1/feeds/{source}"
        self._clock = clock
        self._client = httpx2.AsyncClient(trust_env=False)

    async def post(self, message_id: str, message: Any, **changed: str) -> httpx2.Response:
        """Post one message; `changed` replaces headers."""
        body = json.dumps(message).encode()
        at = int(self._clock())
        headers = {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(at),
            "webhook-signature": sign(self._secret, message_id, at, body),
        }
        headers.update({name.replace("_", "-"): value for name, value in changed.items()})
        return await self._client.post(self.url, content=body, headers=headers)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._client.aclose()


def play(id_: str, at: float, **body: Any) -> dict[str, Any]:
    """Return a play that happened at `at` (Unix seconds)."""
    return {"id": id_, "op": "new", "occurred_at": round(at * 1000), "type": "play", "body": {"txt": id_, **body}}
