"""Logs: one JSON object a line on standard error, our own and the libraries' alike, without secrets.

Whatever a client sends may come to stand in a line: JSON escapes line breaks, control characters are replaced, and a
line is bounded. There is a line for every request, so writing one is kept cheap: the lines of one turn of the loop go
out together, a single write to the system, before any other line of ours.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import sys
import threading
from collections.abc import MutableMapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TextIO

import structlog

from kernel.io.http import redact_path, tell_answered
from kernel.io.system_time import wall

SECRET_WORDS = ("token", "secret", "authorization", "cookie", "password", "signing_key")
"""A field whose name holds one of these is never printed, whatever is in it."""


MAX_TEXT_CHARS = 1_024
"""Of any text in a line: a path of ours has 500, most of them the token, which is not printed. syslog takes 2 KiB."""

MAX_TRACE_CHARS = 16_384
"""Of a traceback."""

# C0, DEL, C1: a terminal that shows a log obeys them. What JSON escapes is escaped again by whoever prints the text.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROL_IN_TRACE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
# What needs no escaping, holds no token and is not too long; everything else takes the long way.
_PLAIN = re.compile(r"(?!.*eyJ)[A-Za-z0-9/._:~-]{0,200}")
_METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE"})
_BOUNDS = {"exception": (MAX_TRACE_CHARS, _CONTROL_IN_TRACE)}
_encode = json.JSONEncoder(default=repr).encode


def configure_logs(level: str) -> None:
    """Send all logs of the process to standard error as JSON.

    Args:
        level: the least level that is printed: debug, info, warning or error.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        without_secrets,
        bounded,
    ]
    number = logging.getLevelNamesMapping()[level.upper()]
    _configured.answers = number <= logging.INFO
    structlog.configure(
        processors=[*shared, _render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        # Looked up at each line: a test, or whoever embeds us, may have put another stream there since.
        logger_factory=lambda *_: _Lines(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _render,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries speak of every request at INFO, paths and all.
    root.setLevel(max(number, logging.WARNING))


def without_secrets(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Strip what must not be printed: fields named like secrets, and tokens within any text."""
    for name, value in event.items():
        if _is_secret(name):
            event[name] = "~"
        elif isinstance(value, str) and "eyJ" in value:
            event[name] = " ".join(redact_path(word) if "eyJ" in word else word for word in value.split(" "))
    return event


def bounded(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Cut texts that are too long, and replace what a terminal would obey."""
    for name, value in event.items():
        if isinstance(value, str):
            most, control = _BOUNDS.get(name, (MAX_TEXT_CHARS, _CONTROL))
            text = value if len(value) <= most else f"{value[:most]}~"
            event[name] = text if text.isprintable() else control.sub("\N{REPLACEMENT CHARACTER}", text)
    return event


@lru_cache(maxsize=1_024)
def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in SECRET_WORDS)


def _render(_: Any, __: str, event: MutableMapping[str, Any]) -> str:
    return _encode(event)


def log_answered(method: str, path: str, peer: str, took_s: float, status: int, sent_bytes: int) -> None:
    """Write the line of an answered request as `kernel.io.http.tell_answered` does, at a quarter of the cost."""
    if not _configured.answers:
        return
    if not (_PLAIN.fullmatch(path) and _PLAIN.fullmatch(peer) and method in _METHODS):
        tell_answered(method, path, peer, took_s, status, sent_bytes)
        return
    _answers.add(
        f'{{"method": "{method}", "path": "{path}", "peer": "{peer}", "ms": {took_s * 1000:.1f}, "status": {status}, '
        f'"sent_bytes": {sent_bytes}, "event": "http.answered", "level": "info", "timestamp": "{_date(wall())}"}}\n'
    )


def _date(now: float) -> str:
    second = int(now)
    return f"{_date_of_second(second)}.{int((now - second) * 1e6):06d}Z"


@lru_cache(maxsize=4)
def _date_of_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class _Answers:
    """The lines of the requests answered in this turn of the loop.

    nginx keeps such lines in a buffer for seconds, if it is told to; here none outlives the turn that made it.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._thread = 0

    def add(self, line: str) -> None:
        """Have a line written at the end of the turn, or now where there is no loop."""
        if not self._lines:
            try:
                asyncio.get_running_loop().call_soon(self.flush)
            except RuntimeError:
                sys.stderr.write(line)
                return
            self._thread = threading.get_ident()
        self._lines.append(line)

    def flush(self) -> None:
        """Write what has been added, if this is the loop's thread: another one would lose what comes meanwhile."""
        if self._lines and self._thread == threading.get_ident():
            lines, self._lines = self._lines, []
            sys.stderr.write("".join(lines))


_answers = _Answers()


class _Configured:
    """What `configure_logs` was told."""

    answers = False


_configured = _Configured()


class _Lines:
    """Write a line in one piece: the loop's and its helpers' do not mix."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def msg(self, message: str) -> None:
        # What was said before stands before it.
        _answers.flush()
        self._stream.write(f"{message}\n")

    debug = info = warning = error = critical = msg
