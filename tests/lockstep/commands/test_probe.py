from __future__ import annotations

import http.server
import json
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import structlog
import typer
from typer.testing import CliRunner

from fixtures.generate import BASE, FIRST_PDT, make_audio_only, make_bframes, make_discontinuity, make_plain, make_wrap
from kernel.pts import WRAP
from lockstep.commands.probe import probe

if TYPE_CHECKING:
    from collections.abc import Iterator

ROLLOVER = Path(__file__).parents[4] / "shared" / "data" / "hls-ts-rollover"
FIRST_MS = round(FIRST_PDT.timestamp() * 1000)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("probe")
    for make in (make_plain, make_bframes, make_wrap, make_discontinuity, make_audio_only):
        make(out / make.__name__.removeprefix("make_"))
    return out


def run(*arguments: str | Path) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(probe)
    with structlog.testing.capture_logs():
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout


def rows(*arguments: str | Path) -> tuple[int, list[dict[str, Any]]]:
    code, text = run("--json", *arguments)
    return code, [json.loads(line) for line in text.splitlines()]


def test_a_file_is_told_as_scripts_rely_on(made: Path) -> None:
    file = made / "plain" / "plain-001.ts"
    start, end = BASE + 180_000, BASE + 360_000
    assert rows(file) == (
        0,
        [
            {
                "file": str(file),
                "container": "mpegts",
                "start": start,
                "end": end,
                "tracks": [
                    {"kind": "video", "codec": "h264", "timescale": 90_000, "frames": 50, "start": start, "end": end},
                    {
                        "kind": "audio",
                        "codec": "aac",
                        "timescale": 90_000,
                        "frames": 94,
                        "start": start + 480,
                        "end": end + 960,
                    },
                ],
            }
        ],
    )


def test_a_file_across_the_wrap_is_told_modulo_two_to_the_33(made: Path) -> None:
    _, (row,) = rows(made / "wrap" / "wrap-002.ts")
    assert (row["start"], row["end"]) == (WRAP - 90_000, 90_000)


def test_a_file_of_sound_is_told_by_its_sound(made: Path) -> None:
    _, (row,) = rows(made / "audio_only" / "audio_only-000.ts")
    assert (row["start"], row["end"]) == (BASE, BASE + 172_800)


def test_what_cannot_be_read_is_said_in_its_place(made: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.ts"
    page.write_text("<html></html>")
    large = tmp_path / "large.ts"
    with large.open("wb") as file:
        file.truncate((64 << 20) + 5)
    good = made / "plain" / "plain-000.ts"
    code, found = rows(page, tmp_path / "absent.ts", "/dev/zero", large, "nul\0.ts", good)
    assert code == 1
    assert [set(row) for row in found[:-1]] == [{"file", "error"}] * 5
    assert found[0]["file"] == str(page)
    assert "ffprobe" in found[0]["error"]
    assert "No such file" in found[1]["error"]
    assert "no regular file" in found[2]["error"]
    assert "cut shorter segments" in found[3]["error"]
    assert found[-1]["start"] == BASE


def test_a_playlist_is_told_segment_by_segment(made: Path) -> None:
    code, found = rows(made / "plain" / "index.m3u8")
    assert code == 0
    assert found == [
        {
            "msn": index,
            "part": None,
            "timeline": 0,
            "start": BASE + index * 180_000,
            "end": BASE + (index + 1) * 180_000,
            "wall": FIRST_MS + index * 2000,
            "sigma_ms": 0.289,
            "method": "pdt",
        }
        for index in range(10)
    ]


def test_a_folder_stands_for_its_playlist_and_times_are_unwrapped(made: Path) -> None:
    _, found = rows(made / "wrap")
    assert [row["start"] for row in found] == [WRAP - 450_000 + index * 180_000 for index in range(6)]


def test_a_discontinuity_is_another_timeline(made: Path) -> None:
    _, found = rows(made / "discontinuity")
    assert [(row["timeline"], row["start"]) for row in found][2:4] == [(0, BASE + 360_000), (1, 90_000_000)]


def test_a_later_date_tells_the_utc_of_what_came_before(made: Path, tmp_path: Path) -> None:
    lines = (made / "plain" / "index.m3u8").read_text().splitlines()
    dates = [line for line in lines if line.startswith("#EXT-X-PROGRAM-DATE-TIME")]
    text = "\n".join(line for line in lines if line not in dates or line == dates[2])
    _copy(made / "plain", tmp_path, text)
    _, found = rows(tmp_path)
    assert [row["wall"] for row in found] == [FIRST_MS + index * 2000 for index in range(10)]


def test_without_dates_there_is_no_utc(made: Path, tmp_path: Path) -> None:
    lines = (made / "plain" / "index.m3u8").read_text().splitlines()
    _copy(made / "plain", tmp_path, "\n".join(line for line in lines if "DATE-TIME" not in line))
    code, found = rows(tmp_path)
    assert code == 0
    assert {(row["wall"], row["sigma_ms"], row["method"]) for row in found} == {(None, None, None)}


def test_a_segment_that_cannot_be_timed_leaves_the_timeline_whole(made: Path, tmp_path: Path) -> None:
    text = (made / "plain" / "index.m3u8").read_text()
    _copy(made / "plain", tmp_path, text.replace("plain-004.ts", "#EXT-X-GAP\nplain-004.ts"))
    (tmp_path / "plain-002.ts").write_text("<html></html>")
    (tmp_path / "plain-003.ts").unlink()
    code, found = rows(tmp_path)
    assert code == 1
    assert [set(row) for row in found[2:5]] == [{"msn", "part", "error"}] * 3
    assert "EXT-X-GAP" in found[4]["error"]
    assert [row["timeline"] for row in found if "timeline" in row] == [0] * 7
    assert found[5]["start"] == BASE + 5 * 180_000


def test_a_lost_segment_does_not_lose_its_discontinuity(made: Path, tmp_path: Path) -> None:
    _copy(made / "discontinuity", tmp_path, (made / "discontinuity" / "index.m3u8").read_text())
    (tmp_path / "after-000.ts").unlink()
    _, found = rows(tmp_path)
    assert [row.get("timeline") for row in found] == [0, 0, 0, None, 1, 1]


def test_an_encrypted_segment_is_said_to_be(made: Path, tmp_path: Path) -> None:
    text = (made / "bframes" / "index.m3u8").read_text()
    _copy(made / "bframes", tmp_path, text.replace("#EXTINF", '#EXT-X-KEY:METHOD=AES-128,URI="k"\n#EXTINF', 1))
    code, found = rows(tmp_path)
    assert code == 1
    assert all("encrypted" in row["error"] for row in found)


def test_what_is_no_playlist_is_said(tmp_path: Path) -> None:
    (tmp_path / "index.m3u8").write_text("<html></html>")
    empty = tmp_path / "empty"
    empty.mkdir()
    code, found = rows(tmp_path, empty)
    assert code == 1
    assert [row["file"] for row in found] == [str(tmp_path), str(empty)]
    assert all("error" in row for row in found)


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@pytest.fixture
def url(made: Path) -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=made)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_urls_will_do(made: Path, url: str) -> None:
    assert rows(f"{url}/bframes/index.m3u8") == rows(made / "bframes")
    _, (row,) = rows(f"{url}/bframes/bframes-000.ts")
    assert (row["file"], row["start"]) == (f"{url}/bframes/bframes-000.ts", BASE)
    code, (missing,) = rows(f"{url}/none/index.m3u8")
    assert code == 1
    assert "error" in missing


def test_people_get_tables(made: Path, tmp_path: Path) -> None:
    odd = tmp_path / "[red]odd.ts"
    odd.write_text("x")
    code, text = run(made / "audio_only" / "audio_only-000.ts", odd, made / "bframes")
    assert code == 1
    for word in ("container", "audio aac", "timeline", str(BASE), "error"):
        assert word in text


@pytest.mark.skipif(not ROLLOVER.is_dir(), reason="the shared data is not here")
def test_a_real_stream_is_twenty_seconds_exactly() -> None:
    code, found = rows(ROLLOVER / "playlist.m3u8")
    assert code == 0
    assert {row["timeline"] for row in found} == {0}
    assert found[-1]["end"] - found[0]["start"] == 1_800_000
    assert [row["wall"] for row in found] == [1_709_593_337_684 + index * 2000 for index in range(10)]
    assert {(row["sigma_ms"], row["method"]) for row in found} == {(0.289, "pdt")}


def _copy(source: Path, target: Path, playlist: str) -> None:
    for path in source.glob("*.ts"):
        (target / path.name).write_bytes(path.read_bytes())
    (target / "index.m3u8").write_text(playlist + "\n")
