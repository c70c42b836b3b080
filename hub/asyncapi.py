"""The socket as an AsyncAPI 3.0 document. `python -m hub.asyncapi > docs/asyncapi.json` writes the committed one."""

from __future__ import annotations

import json
import sys
from typing import Any

from hub.close_codes import CloseCode
from hub.messages import SUBPROTOCOLS, VERSION
from hub.schemas import CLIENT, SERVER

_WHAT = {
    "auth": "Admit me, or refresh my admission.",
    "sub": "Send me cues, from `cur` on if that can be.",
    "update": "Change what is named, leave the rest.",
    "unsub": "Send me no more cues.",
    "pos": "My player is here.",
    "ping": "Are you there?",
    "hello": "The first frame.",
    "snap": "A piece of the state as of `as_of`.",
    "cue": "A fact at its picture.",
    "hb": "Silence is provable.",
    "feed": "A source's health has changed.",
    "session": "The session has to go: the socket is closed together with the video.",
    "resync": "What was owed cannot be given: a snapshot follows.",
    "pong": "The answer to `ping`.",
    "error": "A message was understood and not done; the socket goes on.",
    "bye": "Precedes every close that the server starts.",
}


def document() -> dict[str, Any]:
    """Return the document."""
    client = {f"client_{op}": _message(op, schema) for op, schema in CLIENT.items()}
    server = {f"server_{op}": _message(op, schema) for op, schema in SERVER.items()}
    channel = "#/channels/wagering"
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Lockstep: the hub's socket",
            "version": str(VERSION),
            "description": "Sports data at the moment its picture is out, never before; see docs/protocol.md.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "wagering": {
                "address": "/api/v1/wagering/subscribe",
                "description": f"Subprotocols: {', '.join(SUBPROTOCOLS)}. One socket, one showing, one subscription.",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in (*client, *server)},
                "bindings": {
                    "ws": {
                        "method": "GET",
                        "query": {
                            "type": "object",
                            "properties": {"event_id": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}},
                            "required": ["event_id"],
                        },
                    }
                },
            }
        },
        "operations": {
            "receive": {
                "action": "receive",
                "channel": {"$ref": channel},
                "summary": "What the server takes.",
                "messages": [{"$ref": f"{channel}/messages/{name}"} for name in client],
            },
            "send": {
                "action": "send",
                "channel": {"$ref": channel},
                "summary": "What the server sends.",
                "messages": [{"$ref": f"{channel}/messages/{name}"} for name in server],
            },
        },
        "components": {"messages": client | server},
        "x-close-codes": {str(int(code)): {"reason": code.text, "reconnects": code.reconnects} for code in CloseCode},
    }


def text() -> str:
    """Return the document as it is committed."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def _message(op: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": op, "summary": _WHAT[op], "payload": schema}


if __name__ == "__main__":
    sys.stdout.write(text())
