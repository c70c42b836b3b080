"""What routes of the API do that are not operators': vendors' webhooks, how the feeds are, the socket's path.

Feeds and hub know nothing of models and descriptions; what stands here is held against them by
`tests/e2e/test_described.py`.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, JsonValue, RootModel

from kernel.strict_json import VENDOR_LIMITS
from relay.api import Answer, Operation, Told

SIGNATURE = "webhook"

_SOURCE = {"description": "The source's name.", "schema": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,31}$"}}


class VendorMessage(RootModel[JsonValue]):
    """What the source's vendor writes: its own format, or Lockstep's."""


class Accepted(Told):
    """How many facts a message brought, and whether it was known."""

    accepted: int = Field(ge=0)
    duplicate: bool


class FeedsTold(Told):
    """How the feeds of all showings are."""

    now_ms: int
    showings: list[dict[str, Any]]


class OpenApi(RootModel[dict[str, Any]]):
    """This document."""


TAKE_MESSAGE = Operation(
    method="POST",
    path="/api/v1/feeds/{source}",
    name="takeMessage",
    summary="Take in a vendor's message",
    tag="feeds",
    security=SIGNATURE,
    body=VendorMessage,
    limits=VENDOR_LIMITS,
    parameters={"source": _SOURCE},
    headers={
        "webhook-id": {
            "required": True,
            "description": "Its name: sent again, it does nothing twice.",
            "schema": {"type": "string"},
        },
        "webhook-timestamp": {
            "required": True,
            "description": "When it was sent, in Unix seconds; five minutes of tolerance.",
            "schema": {"type": "string"},
        },
    },
    answers={
        200: Answer("It is on disk already; nothing happens twice.", Accepted),
        202: Answer("It is on disk.", Accepted),
        401: Answer("The source is unknown, or the signature missing, stale or wrong."),
        413: Answer("It is too large."),
        422: Answer("It is not understood; `detail` says why."),
        503: Answer("The disk does not take it, we are starting, or too many large ones wait: send it again."),
    },
)
FEEDS = Operation(
    method="GET",
    path="/api/v1/feeds",
    name="showFeeds",
    summary="Tell how the vendors' feeds are",
    tag="feeds",
    answers={
        200: Answer("For each showing: hold, late share, waiting facts, and each source's state.", FeedsTold),
        403: Answer("It is told to connections from the machine itself only."),
    },
)
SUBSCRIBE = Operation(
    method="GET",
    path="/api/v1/wagering/subscribe",
    name="subscribe",
    summary="Upgrade to the hub's socket, which docs/asyncapi.json describes",
    tag="hub",
    answers={
        101: Answer("The socket is open."),
        426: Answer("It is a WebSocket: the request must ask for an upgrade.", headers={"Upgrade": "The protocol."}),
    },
)
DESCRIBE = Operation(
    method="GET",
    path="/api/openapi.json",
    name="describe",
    summary="Return this document",
    tag="api",
    answers={200: Answer("OpenAPI 3.1.", OpenApi)},
)

OPERATIONS = (TAKE_MESSAGE, FEEDS, SUBSCRIBE, DESCRIBE)
