"""Logs: one JSON object a line on standard error, our own and the libraries' alike, without secrets."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from kernel.io.http import redact_path

SECRET_WORDS = ("token", "secret", "authorization", "cookie", "password", "signing_key")
"""A field whose name holds one of these is never printed, whatever is in it."""


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
    ]
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        # Looked up at each line: a test, or whoever embeds us, may have put another stream there since.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
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
        if any(word in name.lower() for word in SECRET_WORDS):
            event[name] = "~"
        elif isinstance(value, str) and "eyJ" in value:
            event[name] = " ".join(redact_path(word) if "eyJ" in word else word for word in value.split(" "))
    return event
