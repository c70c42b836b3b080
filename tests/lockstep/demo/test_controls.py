from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from feeds.standard_webhooks import new_secret
from kernel.io.http import exception_handlers
from lockstep.demo.controls import VIEWERS, Controls
from lockstep.demo.encoder import Encoder
from lockstep.demo.game import Game
from lockstep.demo.posting import Posting
from lockstep.demo.vendor import Vendor

KEY = "a key of this run"
ORIGIN = "http://127.0.0.1:8080"
HEADERS = {"authorization": f"Bearer {KEY.replace(' ', '-')}", "origin": ORIGIN, "content-type": "application/json"}


class Stand:
    """Controls with everything that they act on."""

    def __init__(self, folder: Path, peer: str = "127.0.0.1") -> None:
        game = Game(7)
        self.encoder = Encoder(folder, 0, 7)
        self.posting = Posting(Vendor(game, 0), game, 0, "http://127.0.0.1:1/", new_secret(bytes(32)), lambda: 100.0)
        self.revoked: list[str] = []
        self.issued = 0
        controls = Controls(
            key=KEY.replace(" ", "-"), event_id="demo", kickoff_ms=0, encoder=self.encoder, posting=self.posting,
            issue=self.issue, revoke=self.revoke,
        )  # fmt: skip
        app = Starlette(routes=controls.routes(), exception_handlers=exception_handlers)
        self.client = TestClient(app, base_url=ORIGIN, client=(peer, 50_000))

    def issue(self, account: str, scopes: frozenset[str]) -> tuple[str, str]:
        assert scopes == VIEWERS[account]
        self.issued += 1
        return f"jti-{account}-{self.issued}", f"token-{account}-{self.issued}"

    async def revoke(self, jti: str) -> None:
        self.revoked.append(jti)

    def post(self, path: str, body: Any, **headers: str) -> Any:
        merged = {**HEADERS, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return self.client.post(f"/demo/api/{path}", json=body, headers={k: v for k, v in merged.items() if v})


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return Stand(tmp_path)


def test_a_viewer_is_given_a_token_and_loses_it(stand: Stand) -> None:
    assert stand.post("token", {"viewer": "live"}).json()["token"] == "token-live-1"
    assert stand.post("token", {"viewer": "live"}).json()["token"] == "token-live-2"
    assert stand.post("revoke", {"viewer": "live"}).status_code == 200
    assert stand.post("revoke", {"viewer": "live"}).status_code == 200
    assert stand.revoked == ["jti-live-2"]


def test_the_vendor_does_as_told(stand: Stand) -> None:
    assert stand.post("vendor", {"delay_s": 5}).json()["delay_s"] == 5
    assert stand.posting.delay_s == 5
    told = stand.post("vendor", {"silent": True}).json()
    assert (told["silent"], told["delay_s"]) == (True, 5)
    assert stand.posting.silent
    assert stand.post("vendor", {"silent": False}).json()["silent"] is False
    assert stand.post("encoder", {}).json()["runs"] == 0
    state = stand.client.get("/demo/api/state", headers={"authorization": HEADERS["authorization"]}).json()
    assert (state["frame"], state["rate"], state["event_id"]) == (2_500, 25, "demo")


@pytest.mark.parametrize(
    ("path", "body"),
    [("vendor", {"delay_s": -1}), ("vendor", {"delay_s": 21}), ("vendor", {"delay_s": True}), ("vendor", {"silent": 1}),
     ("vendor", {"delay_s": "5"}), ("token", {"viewer": "me"}), ("token", {}), ("token", []), ("revoke", [1])],
)  # fmt: skip
def test_nonsense_is_named(stand: Stand, path: str, body: Any) -> None:
    answer = stand.post(path, body)
    assert answer.status_code == 422
    assert answer.json()["detail"]


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"authorization": ""}, 401),
        ({"authorization": "Bearer another"}, 401),
        # Other pages, and names that lead here by a resolver of somebody else's.
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"origin": "null"}, 403),
        ({"host": "evil.example"}, 403),
        ({"x_forwarded_for": "10.0.0.1"}, 403),
        ({"origin": "", "sec_fetch_site": "cross-site"}, 403),
        ({"origin": "", "sec_fetch_site": "same-site"}, 403),
        ({"content_type": "text/plain"}, 415),
    ],
)
def test_strangers_are_refused(stand: Stand, changed: dict[str, str], status: int) -> None:
    assert stand.post("token", {"viewer": "live"}, **changed).status_code == status
    assert stand.issued == 0


def test_other_machines_are_refused(tmp_path: Path) -> None:
    assert Stand(tmp_path, peer="192.0.2.7").post("token", {"viewer": "live"}).status_code == 403


def test_a_body_has_a_limit(stand: Stand) -> None:
    assert stand.post("vendor", {"delay_s": 1, "x": "y" * 5_000}).status_code == 413
