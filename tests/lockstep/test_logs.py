from __future__ import annotations

import asyncio
import json
import logging
import threading
from pathlib import Path

import pytest
import structlog

from kernel.io.http import tell_answered
from lockstep.logs import configure_logs, log_answered, without_secrets
from tests.support.tokens import token


def test_a_line_is_one_json_object_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info")
    structlog.get_logger("x").info("segment.timed", msn=7)
    structlog.get_logger("x").debug("not.shown")
    logging.getLogger("library").warning("it %s", "spoke")
    out, err = capsys.readouterr()
    assert out == ""
    ours, theirs = [json.loads(line) for line in err.splitlines()]
    assert (ours["event"], ours["msn"], ours["level"]) == ("segment.timed", 7, "info")
    assert (theirs["event"], theirs["level"]) == ("it spoke", "warning")


def test_an_exception_stays_on_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info")
    try:
        raise ValueError("boom")
    except ValueError:
        structlog.get_logger("x").exception("part.failed")
    line = json.loads(capsys.readouterr().err)
    assert "ValueError: boom" in line["exception"]


def test_secrets_are_not_printed() -> None:
    secret = token()
    event = without_secrets(None, "info", {
        "event": f"asked /hls/{secret}/game/index.m3u8 twice", "token": secret, "Authorization": "x", "n": 3,
    })  # fmt: skip
    assert event["event"] == "asked /hls/token-1/game/index.m3u8 twice"
    assert (event["token"], event["Authorization"], event["n"]) == ("~", "~", 3)


def test_texts_are_bounded_and_obeyed_by_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info")
    log = structlog.get_logger("x")
    log.info("asked", path="/a\r\n\x1b[2J\x7f\x9b31m\u2028b", long="x" * 100_000, number=7, odd=Path("p"))
    try:
        raise ValueError("line\nline\x1b[2J" + "x" * 100_000)
    except ValueError:
        log.exception("failed")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert first["path"] == "/a\ufffd\ufffd\ufffd[2J\ufffd\ufffd31m\ufffdb"
    assert first["long"] == "x" * 1_024 + "~"
    assert (first["number"], first["odd"]) == (7, "PosixPath('p')")
    assert "line\nline\ufffd[2J" in second["exception"]
    assert len(second["exception"]) == 16_385


@pytest.mark.parametrize(
    ("method", "path", "peer"),
    [
        ("GET", "/hls/token-1/game/index.m3u8", "192.0.2.1"),
        ("HEAD", "/livez", "2001:db8::1"),
        ("POST", "/", ""),
        # What takes the long way
        ("GET", '/a"b\\c', "192.0.2.1"),
        ("GET", "/a\nb\u2028", "192.0.2.1"),
        ("GET", "/" + "a" * 5_000, "192.0.2.1"),
        ("GET", f"/x/{token()}", "192.0.2.1"),
        ("GET", "/", "192.0.2.1\n"),
        ("FETCH", "/", "192.0.2.1"),
    ],
)
def test_an_answers_line_is_the_access_logs(
    method: str, path: str, peer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs("info")
    log_answered(method, path, peer, 0.00123, 404, 584)
    tell_answered(method, path, peer, 0.00123, 404, 584)
    mine, theirs = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert list(mine) == list(theirs)
    assert len(mine.pop("timestamp")) == len(theirs.pop("timestamp"))
    assert mine == theirs
    configure_logs("warning")
    log_answered(method, path, peer, 0.0, 200, 0)
    assert capsys.readouterr().err == ""


async def test_the_answers_of_one_turn_are_one_write_before_any_other_line(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    class Stream:
        def write(self, text: str) -> int:
            written.append(text)
            return len(text)

    monkeypatch.setattr("sys.stderr", Stream())
    configure_logs("info")
    for number in range(3):
        log_answered("GET", f"/{number}", "192.0.2.1", 0.001, 200, 7)
    assert written == []
    structlog.get_logger("x").info("said")
    log_answered("GET", "/3", "192.0.2.1", 0.001, 200, 7)
    await asyncio.sleep(0)
    lines = [[json.loads(line) for line in text.splitlines()] for text in written]
    told = [[line.get("path", line["event"]) for line in each] for each in lines]
    assert told == [
        ["/0", "/1", "/2"],
        ["said"],
        ["/3"],
    ]


def test_a_line_from_another_thread_leaves_the_loops_alone(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info")

    async def answered() -> str:
        log_answered("GET", "/a", "192.0.2.1", 0.001, 200, 7)
        thread = threading.Thread(target=structlog.get_logger("x").info, args=("elsewhere",))
        thread.start()
        thread.join()
        return capsys.readouterr().err

    assert "/a" not in asyncio.run(answered())
    assert '"/a"' in capsys.readouterr().err
