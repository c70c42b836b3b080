"""Who is revoked gets not a byte more: on the real server, by the real command, through restarts and kills."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
from pathlib import Path

import httpx2
import pytest

from lockstep.keys import read_keys
from tests.e2e.stage import FIXTURES, Stage

NULL_PACKET = b"\x47\x1f\xff\x10" + b"\xff" * 184
"""ISO/IEC 13818-1, 2.4.3.3: PID 0x1FFF holds nothing and may stand anywhere."""

LARGE_BYTES = 40_000 * len(NULL_PACKET)


def large_origin(folder: Path) -> str:
    """Make an origin whose first segment is larger than all that kernels buffer."""
    shutil.copytree(FIXTURES / "plain", folder)
    with (folder / "plain-000.ts").open("ab") as segment:
        segment.write(NULL_PACKET * 40_000)
    return str(folder)


class SlowClient:
    """A client that takes next to nothing at a time."""

    def __init__(self, url: str, path: str) -> None:
        host, port = url.removeprefix("http://").split(":")
        self._address = host, int(port)
        self._path = path
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        self.socket.setblocking(False)
        self.received = 0

    async def begin(self) -> None:
        """Ask, and read a little."""
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self.socket, self._address)
        await loop.sock_sendall(self.socket, f"GET {self._path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        first = await loop.sock_recv(self.socket, 4_096)
        assert first.startswith(b"HTTP/1.1 200 ")
        self.received = len(first)

    async def read_on(self) -> bool:
        """Read for as long as there is something; return whether the connection was reset."""
        loop = asyncio.get_running_loop()
        try:
            while piece := await loop.sock_recv(self.socket, 65_536):
                self.received += len(piece)
        except ConnectionResetError:
            return True
        finally:
            self.socket.close()
        return False


async def test_who_is_revoked_is_cut_off_everywhere_and_may_come_back(stage: Stage) -> None:
    _, url = await stage.serve(await asyncio.to_thread(large_origin, stage.folder / "origin"))
    token = await stage.token()
    here = ("--data-dir", str(stage.data_dir), "--to", url)
    subscriber = await stage.subscribe(url, token)
    await subscriber.until(lambda frame: frame["op"] == "snap" and frame["i"] == frame["n"])
    slow = SlowClient(url, f"/hls/{token}/game/main/0-0.ts")
    await slow.begin()

    revoke = await stage.start("revoke", "--account", "ann", "--reason", "shared it", *here)
    id_ = (await revoke.line()).split()[0]
    assert await revoke.exit_code() == 0, revoke.log
    assert await slow.read_on()
    # What it still got lay in its own kernel: of seven megabytes less than one.
    assert slow.received < 1 << 20 < LARGE_BYTES
    frames = await subscriber.until(lambda frame: frame["op"] == "bye")
    assert (frames[-1]["code"], frames[-1]["reason"]) == (4510, "revoked")
    assert await subscriber.exit_code() == 1
    async with httpx2.AsyncClient(base_url=url, trust_env=False) as client:
        answer = await client.get(f"/hls/{token}/game/main/0-0.ts")
        assert (answer.status_code, answer.json()["reason"]) == (403, "revoked")
        assert "shared it" not in answer.text
        undo = await stage.start("revoke", "--undo", id_, *here)
        assert await undo.exit_code() == 0, undo.log
        assert (await client.get(f"/hls/{token}/game/main/0-0.ts")).status_code == 200


@pytest.mark.both_shapes
async def test_a_revocation_survives_a_kill_and_its_undoing_a_restart(stage: Stage) -> None:
    origin = str(FIXTURES / "plain")
    server, url = await stage.serve(origin)
    token = await stage.token()
    headers = {"Authorization": f"Bearer {(await asyncio.to_thread(read_keys, stage.data_dir)).operator_key()}"}
    path = "/api/v1/revocations"
    async with httpx2.AsyncClient(base_url=url, trust_env=False) as client:
        assert (await client.get(path)).status_code == 401
        answer = await client.post(path, headers=headers, json={"kind": "event", "value": "game"})
        server.signal(signal.SIGKILL)
        assert answer.status_code == 201
        made = answer.json()
    await server.exit_code()
    assert "lko_" not in server.log

    server, url = await stage.serve(origin)
    async with httpx2.AsyncClient(base_url=url, trust_env=False) as client:
        answer = await client.get(f"/hls/{token}/game/index.m3u8")
        assert (answer.status_code, answer.json()["reason"]) == (403, "revoked")
        assert (await client.get(path, headers=headers)).json() == {"revocations": [made], "next_after": None}
        assert (await client.delete(f"{path}/{made['id']}", headers=headers)).status_code == 204
    assert await server.end() == 0

    _, url = await stage.serve(origin)
    async with httpx2.AsyncClient(base_url=url, trust_env=False) as client:
        assert (await client.get(f"/hls/{token}/game/index.m3u8")).status_code == 200
        assert (await client.get(path, headers=headers)).json()["revocations"] == []
