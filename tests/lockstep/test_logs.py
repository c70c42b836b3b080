from __future__ import annotations

import json
import logging

import pytest
import structlog

from lockstep.logs import configure_logs, without_secrets
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
