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

from fixtures.encoding import BASE
from fixtures.listing import FIRST_PDT
from kernel.pts import WRAP
from lockstep.commands.probe import probe
from tests.support.recordings import RECORDINGS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROLLOVER = Path(__file__).parents[4] / "shared" / "data" / "hls-ts-rollover"
FIRST_MS = round(FIRST_PDT.timestamp() * 1000)


@pytest.fixture
def made() -> Path:
    return RECORDINGS


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


@pytest.mark.parametrize("name", ["fmp4", "fmp4_edit_list", "fmp4_ranges", "aes128"])
def test_init_sections_ranges_and_keys_are_taken_from_the_playlist(made: Path, name: str) -> None:
    code, found = rows(made / name)
    assert code == 0
    assert [(row["timeline"], row["start"], row["wall"]) for row in found] == [
        (0, BASE + index * 180_000, FIRST_MS + index * 2000) for index in range(len(found))
    ]
    assert len(found) >= 3


def test_packed_audio_is_timed_by_its_tags(made: Path) -> None:
    _, found = rows(made / "packed_aac")
    assert [(row["start"], row["end"]) for row in found] == [
        (BASE + index * 172_800, BASE + (index + 1) * 172_800) for index in range(4)
    ]
    _, (row,) = rows(made / "packed_aac" / "packed_aac-001.aac")
    assert (row["container"], row["start"], row["tracks"][0]["frames"]) == ("packed_audio", BASE + 172_800, 90)


def test_an_fmp4_file_wants_its_init_section(made: Path) -> None:
    segment = made / "fmp4" / "fmp4-001.m4s"
    code, (row,) = rows("--init", made / "fmp4" / "init.mp4", segment)
    assert code == 0
    assert (row["file"], row["container"]) == (str(segment), "fmp4")
    assert (row["start"], row["end"]) == (BASE + 180_000, BASE + 360_000)
    assert row["tracks"][0] == {
        "kind": "video",
        "codec": "h264",
        "timescale": 12_800,
        "frames": 50,
        "start": BASE + 180_000,
        "end": BASE + 360_000,
    }
    code, (row,) = rows(segment)
    assert code == 1
    assert "--init" in row["error"]


def test_files_that_need_no_init_section_may_stand_beside(made: Path) -> None:
    files = [made / "plain" / "plain-000.ts", made / "fmp4_ranges" / "media.mp4"]
    code, found = rows("--init", made / "fmp4" / "init.mp4", *files)
    assert code == 0
    assert [(row["container"], row["start"]) for row in found] == [("mpegts", BASE), ("fmp4", BASE)]


def test_what_is_no_init_section_is_said(made: Path, tmp_path: Path) -> None:
    page = tmp_path / "init.mp4"
    page.write_text("<html></html>")
    for init, why in ((page, "neither fMP4"), (tmp_path / "absent", "No such file")):
        code, (row,) = rows("--init", init, made / "plain" / "plain-000.ts")
        assert code == 1
        assert row["file"] == str(init)
        assert why in row["error"]


def test_a_key_that_is_not_there_or_is_wrong_is_said(made: Path, tmp_path: Path) -> None:
    _copy(made / "aes128", tmp_path, (made / "aes128" / "index.m3u8").read_text())
    (tmp_path / "key.bin").write_bytes(b"very secret key!")
    code, found = rows(tmp_path)
    assert code == 1
    assert all("wrong key or IV" in row["error"] and "secret" not in row["error"] for row in found)
    (tmp_path / "key.bin").unlink()
    assert all("is not there" in row["error"] for row in rows(tmp_path)[1])


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
    _, (row,) = rows("--init", made / "fmp4" / "init.mp4", f"{url}/fmp4/fmp4-000.m4s?token=x")
    assert (row["container"], row["start"]) == ("fmp4", BASE)
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
