"""The API as an OpenAPI 3.1 document: `GET /api/openapi.json`, and `python -m lockstep.openapi > docs/openapi.json`.

It is written from the operations that the routes are mounted with. What reads and answers by a model (`relay/api.py`)
is described by that model; for the two routes of other houses that have none, `lockstep/described.py` says what they
do. A server describes what it has mounted: of houses that run apart, each its own.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lockstep import described
from lockstep.showings import words as showing_words
from relay import blackout_words, playback_words, policy_words, revocation_words, session_words, viewer_words
from relay.api import Answer, Operation, Problem
from relay.io.operator_door import ApiRoute
from relay.sessions import policy_words as session_policy_words
from relay.stream_count import words as stream_count_words

PATH = "/api/openapi.json"
VERSION = version("lockstep-hub")

CATALOGUE: tuple[Operation, ...] = (
    *revocation_words.OPERATIONS,
    *policy_words.OPERATIONS,
    *blackout_words.OPERATIONS,
    *session_policy_words.OPERATIONS,
    *stream_count_words.OPERATIONS,
    *session_words.OPERATIONS,
    *playback_words.OPERATIONS,
    *showing_words.OPERATIONS,
    *viewer_words.OPERATIONS,
    *described.OPERATIONS,
)
"""All operations that there are, whichever houses run."""

_OPERATOR = "operator"
_SCHEMES: Mapping[str, Mapping[str, Any]] = {
    _OPERATOR: {
        "type": "http",
        "scheme": "bearer",
        "description": "An operator's key, `lko_...`: `lockstep key create`.",
    },
    viewer_words.SECURITY: {
        "type": "http",
        "scheme": "bearer",
        "description": "A session's token, or an entitlement; in the cookie `lockstep_token` as well.",
    },
    described.SIGNATURE: {
        "type": "apiKey",
        "in": "header",
        "name": "webhook-signature",
        "description": "Standard Webhooks 1.0.0, with the source's secret.",
    },
}
_STATUS_TEXTS = {
    401: "No key, or one that nobody has.",
    403: "The key lacks the scope (`reason` scope_missing).",
    413: "The body is too large.",
    422: "It is not understood; `detail` names the field and what is expected.",
    429: "Too often, or too many unknown keys from this address; see Retry-After.",
    503: "The disk does not take it, or another process has taken over: send it again after Retry-After.",
}
_RETRY = {"Retry-After": "Seconds to wait."}
_REPEAT_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Sent again with the same body, the first answer comes again, for a day.",
    "schema": {"type": "string", "pattern": r"^[!-~]{1,128}$"},
}
_REF = "#/components/schemas/{model}"


def document(operations: Iterable[Operation]) -> dict[str, Any]:
    """Return the document of some operations."""
    chosen = list(operations)
    models = sorted({model for one in chosen for model in _models(one)}, key=lambda model: model.__name__)
    names, schemas = models_json_schema([(model, "validation") for model in models], ref_template=_REF, by_alias=True)
    refs = {model: schema["$ref"] for (model, _), schema in names.items()}
    paths: dict[str, dict[str, Any]] = {}
    for one in chosen:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one, refs)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Lockstep",
            "version": VERSION,
            "description": "What operators and vendors ask of a server; see docs/http.md.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in sorted({one.tag for one in chosen})],
        "paths": paths,
        "components": {
            "schemas": schemas.get("$defs", {}),
            "securitySchemes": {name: _SCHEMES[name] for name in sorted(set(_securities(chosen)))},
        },
    }


def openapi_route(routes: Iterable[Route]) -> Route:
    """Return the route that describes these and itself, to be mounted by the composition root."""
    operations = [*operations_of(routes), described.DESCRIBE]
    body = json.dumps(document(operations), ensure_ascii=False).encode()

    async def describe(_: Request) -> Response:
        return Response(body, media_type="application/json", headers={"Cache-Control": "no-cache"})

    return Route(PATH, describe, methods=["GET"])


def operations_of(routes: Iterable[Route]) -> Iterator[Operation]:
    """Return the operations of routes, those that `described` knows by path and method included."""
    known = {(one.path, one.method): one for one in described.OPERATIONS}
    for route in routes:
        if isinstance(route, ApiRoute):
            yield route.operation
        else:
            for method in sorted(route.methods or ()):
                if (found := known.get((route.path, method))) is not None:
                    yield found


def text() -> str:
    """Return the document of all operations as it is committed."""
    return json.dumps(document(CATALOGUE), indent=1, ensure_ascii=False) + "\n"


def _operation(one: Operation, refs: Mapping[Any, str]) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": place, "required": place == "path", **parameter}
        for place, some in (("path", one.parameters), ("query", one.query), ("header", one.headers))
        for name, parameter in some.items()
    ]
    if one.idempotent:
        parameters.append(_REPEAT_KEY)
    told: dict[str, Any] = {"operationId": one.name, "summary": one.summary, "tags": [one.tag]}
    if one.scope is not None:
        told["description"] = f"The key needs the scope `{one.scope}`."
    if parameters:
        told["parameters"] = parameters
    if one.body is not None:
        told["requestBody"] = {
            "required": True,
            "description": f"At most {one.limits.max_bytes} bytes.",
            "content": {"application/json": {"schema": {"$ref": refs[one.body]}}},
        }
    answers = sorted(_all_answers(one).items())
    told["responses"] = {str(status): _answer(status, answer, refs) for status, answer in answers}
    told["security"] = [{name: []} for name in _securities([one])]
    return told


def _answer(status: int, answer: Answer, refs: Mapping[Any, str]) -> dict[str, Any]:
    told: dict[str, Any] = {"description": answer.description}
    headers = {**answer.headers, **(_RETRY if status in (429, 503) else {})}
    if headers:
        told["headers"] = {name: {"description": what, "schema": {"type": "string"}} for name, what in headers.items()}
    model = answer.model or (Problem if status >= 400 else None)
    if model is not None:
        # RFC 9457: what a problem has beyond its own members is its model's.
        kind = "application/problem+json" if status >= 400 else "application/json"
        told["content"] = {kind: {"schema": {"$ref": refs[model]}}}
    return told


def _all_answers(one: Operation) -> dict[int, Answer]:
    """Return an operation's own answers, and those that the door and the server give in its place."""
    common = [429]
    if one.scope is not None:
        common += [401, 403, 503]
        if one.query or one.body is not None or one.headers:
            common.append(422)
        if one.body is not None:
            common += [413]
    return {status: Answer(_STATUS_TEXTS[status]) for status in common} | dict(one.answers)


def _models(one: Operation) -> Iterator[type[BaseModel]]:
    yield Problem
    if one.body is not None:
        yield one.body
    for answer in one.answers.values():
        if answer.model is not None:
            yield answer.model


def _securities(operations: Iterable[Operation]) -> Iterator[str]:
    for one in operations:
        if one.scope is not None:
            yield _OPERATOR
        if one.security is not None:
            yield one.security


if __name__ == "__main__":
    sys.stdout.write(text())
