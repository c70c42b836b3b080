"""`lockstep origin`, as an application and as a process."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from kernel.errors import LockstepError
from kernel.playlist import parse_media_playlist
from lockstep.commands.origin import make_app, read_programme

START = 2_000_000_000.0
COMMAND = "import typer; from lockstep.commands.origin import origin; typer.run(origin)"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n" + "".join(f"#EXTINF:2,\ns{i}.ts\n" for i in range(4))
    (tmp_path / "index.m3u8").write_text(text + "#EXT-X-ENDLIST\n")
    for i in range(4):
        (tmp_path / f"s{i}.ts").write_bytes(bytes([0x47, i]) * 94)
    return tmp_path


def test_serves_the_list_and_what_is_out(folder: Path) -> None:
    app = make_app(read_programme(str(folder)), START, loop=True, window=2, wall=lambda: START + 2)
    client = TestClient(app, headers={"Origin": "https://page.example"})
    answer = client.get("/index.m3u8")
    assert answer.headers["content-type"] == "application/vnd.apple.mpegurl"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert [segment.uri for segment in parse_media_playlist(answer.text).segments] == ["0/s1.ts", "0/s2.ts"]
    segment = client.get("/0/s2.ts")
    assert segment.content == b"\x47\x02" * 94
    assert segment.headers["content-type"] == "video/mp2t"
    assert segment.headers["access-control-allow-origin"] == "*"
    assert client.head("/0/s2.ts").headers["content-length"] == "188"
    part = client.get("/0/s2.ts", headers={"Range": "bytes=186-"})
    assert (part.status_code, part.content) == (206, b"\x47\x02")
    for path in ("/0/s3.ts", "/1/s0.ts", "/0/none.ts", "/s0.ts", "/0/..%2findex.m3u8", "/0/%2e%2e/index.m3u8"):
        refused = client.get(path)
        assert refused.status_code == 404
        assert refused.headers["content-type"] == "application/problem+json"


def test_answers_a_pages_preflight(folder: Path) -> None:
    client = TestClient(make_app(read_programme(str(folder)), START))
    asked = {"Origin": "https://p", "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "range"}
    assert client.options("/0/s0.ts", headers=asked).status_code == 200


def test_a_playlist_may_be_named(folder: Path) -> None:
    (folder / "index.m3u8").rename(folder / "video.m3u8")
    assert len(read_programme(str(folder / "video.m3u8")).files) == 4


def test_recordings_that_are_refused(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "s0.ts"
    outside.touch()
    with pytest.raises(LockstepError, match="no folder"):
        read_programme("http://127.0.0.1/index.m3u8")
    (folder / "s0.ts").unlink()
    with pytest.raises(LockstepError, match=r"index\.m3u8 names 's0\.ts'"):
        read_programme(str(folder))
    (folder / "s0.ts").symlink_to(outside)
    with pytest.raises(LockstepError, match=r"index\.m3u8 names 's0\.ts'"):
        read_programme(str(folder))
    (folder / "index.m3u8").write_text("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n")
    with pytest.raises(LockstepError, match=r"a\.m3u8' is not there"):
        read_programme(str(folder))


def test_serves_all_renditions_of_a_multivariant_playlist(folder: Path) -> None:
    (folder / "audio").mkdir()
    (folder / "audio" / "en.m3u8").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na.aac\n#EXTINF:2,\nb.aac\n"
    )
    for name in ("a.aac", "b.aac"):
        (folder / "audio" / name).write_bytes(name.encode())
    top = '#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="en",URI="audio/en.m3u8"\n'
    (folder / "master.m3u8").write_text(top + '#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"\nindex.m3u8\n')
    programme = read_programme(str(folder))
    assert programme.entry == "master.m3u8"
    client = TestClient(make_app(programme, START, loop=True, window=2, wall=lambda: START))
    assert client.get("/master.m3u8").text == (folder / "master.m3u8").read_text()
    assert "\n0/s1.ts\n" in client.get("/index.m3u8").text
    assert "\n0/b.aac\n" in client.get("/audio/en.m3u8").text
    assert client.get("/audio/0/b.aac").content == b"b.aac"
    assert client.get("/0/s1.ts").status_code == 200
    assert client.get("/0/b.aac").status_code == 404


@pytest.mark.e2e
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_says_where_it_listens_and_leaves_cleanly(folder: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-c", COMMAND, str(folder), "--port", "0", "--loop", "--window", "3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        url = process.stdout.readline().rstrip("\n")
        with urllib.request.urlopen(url) as answer:
            assert len(parse_media_playlist(answer.read().decode()).segments) == 3
        process.send_signal(number)
        assert process.wait(10) == 0
        assert (process.stdout.read(), process.stderr.read()) == ("", "")


@pytest.mark.e2e
def test_the_command_says_what_is_wrong(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for arguments, says in (
            ([str(folder), "--port", str(port)], f"port {port}"),
            ([str(folder / "none")], "no such folder"),
            ([str(folder), "--speed", "0"], "speed above 0"),
            ([str(folder), "--port", "0", "--host", "name.invalid"], "cannot listen"),
        ):
            command = [sys.executable, "-c", COMMAND, *arguments]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
            assert done.returncode == 1
            assert done.stdout == ""
            assert says in done.stderr
            assert "Traceback" not in done.stderr
