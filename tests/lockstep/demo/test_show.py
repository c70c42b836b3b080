"""What runs around the server: the whole of it is tried in tests/e2e/test_demo.py."""

from __future__ import annotations

from pathlib import Path

from kernel.io.system_time import wall
from lockstep.demo.encoder import Encoder
from lockstep.demo.show import EVENT_ID, SOURCE, Show
from lockstep.keys import ensure_keys
from relay.token_verifier import TokenVerifier


def test_its_tokens_admit_to_the_demo_alone(tmp_path: Path) -> None:
    keys = ensure_keys(tmp_path / "data", [SOURCE])
    show = Show(
        Encoder(tmp_path, 0, 7), seed=7, kickoff_ms=0, keys=keys, url="http://127.0.0.1:1", pages={}, opens=False
    )
    jti, token = show._issue("live", frozenset({"watch"}))
    claims = TokenVerifier(keys.signing).verify(token)
    assert claims is not None
    assert claims.jti == jti
    assert claims.reason_at(wall(), EVENT_ID, "watch") is None
    assert claims.reason_at(wall(), "game", "watch") is not None
    assert claims.reason_at(wall(), EVENT_ID, "trading") is not None
