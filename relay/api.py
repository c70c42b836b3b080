"""What a route of the API takes and answers, as one value: by it requests are judged, and the description is written.

A route that is mounted with its `Operation` stands in `/api/openapi.json` by itself; what is read by a model is
described by that model. Bodies are read strictly: a field that nobody knows is an error, a text is no number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from kernel.errors import DecodeError
from kernel.strict_json import CLIENT_LIMITS, Limits
from relay.operators import OperatorScope

MAX_NAMED = 5
"""How many faults of a body are named at once."""

_VALUE_ERROR = "Value error, "


class Body(BaseModel):
    """What is sent: strict, and nothing beyond its fields."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Told(BaseModel):
    """What is answered: nothing beyond its fields, either. What is not set is left out."""

    model_config = ConfigDict(extra="forbid")


class Problem(BaseModel):
    """What is wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str | None = None
    reason: str | None = None


B = TypeVar("B", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Answer:
    """One status of an operation, and what stands in its body; without a model a problem from 400 on, else nothing."""

    description: str
    model: type[BaseModel] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path.

    Args:
        method: GET, POST, PUT, DELETE or OPTIONS.
        path: as Starlette's routes write it, with its parameters in braces.
        name: unique among all operations; clients are generated with it.
        summary: an imperative sentence.
        tag: the group that it belongs to.
        answers: what there is besides the answers that every such operation has, by status.
        scope: what an operator's key must have; None: no such key is asked for.
        body: what is sent; None: nothing.
        limits: of the body.
        parameters: those in the path, by name: `description` and `schema`.
        query: those in the query, likewise.
        headers: those in the head, likewise; `required` may stand with them.
        raw: whether the handler is given the body's bytes, and reads them by itself.
        idempotent: whether `Idempotency-Key` makes it safe to send again.
        security: by what else whoever asks is known; a name of `lockstep/openapi.py`.
    """

    method: str
    path: str
    name: str
    summary: str
    tag: str
    answers: Mapping[int, Answer]
    scope: OperatorScope | None = None
    body: type[BaseModel] | None = None
    limits: Limits = CLIENT_LIMITS
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    query: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    headers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    idempotent: bool = False
    raw: bool = False
    security: str | None = None


def read_as(model: type[B], value: object) -> B:
    """Return a decoded body as its model.

    Raises:
        DecodeError: it is none; the text names the fields, and what is expected of each.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise DecodeError(faults_of(error, model)) from None


def faults_of(error: ValidationError, model: type[BaseModel]) -> str:
    """Return what is wrong, field by field; what was sent is not repeated beyond the names of its fields."""
    found = []
    for fault in error.errors(include_url=False, include_input=False, include_context=False)[:MAX_NAMED]:
        place = ".".join(str(part)[:64] for part in fault["loc"])
        text = fault["msg"].removeprefix(_VALUE_ERROR)
        if fault["type"] == "extra_forbidden":
            known = f"; there are {', '.join(sorted(model.model_fields))}" if len(fault["loc"]) == 1 else ""
            text = f"there is no such field{known}"
        found.append(f"{place}: {text}" if place else text)
    return "; ".join(found)
