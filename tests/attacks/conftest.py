from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.attacks.server import FIXTURES, Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    assert FIXTURES.exists(), "run `make setup`: it makes the fixtures"
    server = Server(tmp_path_factory.mktemp("attacked"))
    yield server
    server.close()


@pytest.fixture(autouse=True)
def _it_stands(server: Server) -> Iterator[None]:
    """Whatever an attack did, the server is there, serves others, and has logged no fault of its own."""
    seen = len(server.log)
    yield
    assert server.get("/livez").status == 200
    assert server.get(f"/hls/{server.token()}/game/index.m3u8").status == 200
    assert not [line for line in server.log[seen:] if '"level": "error"' in line or "Traceback" in line]
