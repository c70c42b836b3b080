"""An operator who takes grants back and gives them again, through the real routes, until the server has said so."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from kernel.revocation import Subject, SubjectKind
from relay.operators import Operator as Key
from relay.operators import OperatorScope, digest_of, operator_key
from tests.sim.http_client import Reply, request
from tests.sim.loop import WHO

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.sim.world import World

_KEY = operator_key(b"o" * 32)
OPERATOR = Key("sim", digest_of(_KEY), frozenset(OperatorScope))
PATH = "/api/v1/revocations"
RETRY_S = 0.4
RETURN_S = 0.2
"""How often somebody who was sent away looks whether it may come back."""


class Operator:
    """Revoke and reinstate, and hold the server to what it has acknowledged."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._acknowledged: dict[Subject, str] = {}
        """What the server has said to be revoked, and nobody has asked it to undo."""
        self._undone: set[Subject] = set()
        self._at_it: set[Subject] = set()
        self._busy = 0
        self.revocations = 0

    async def revoke(self, subject: Subject, lasts_s: float, *, after_s: float = 0.0) -> None:
        """Revoke, after a moment, and undo it after a while; unless that is being done: one undoes the other's else."""
        WHO.set("operator")
        self._busy += 1
        await asyncio.sleep(after_s)
        if subject not in self._at_it:
            self._at_it.add(subject)
            await self._revoke(subject, lasts_s)
            self._at_it.remove(subject)
        self._busy -= 1

    async def _revoke(self, subject: Subject, lasts_s: float) -> None:
        self._undone.discard(subject)
        body = {"kind": subject.kind.value, "value": subject.value, "reason": "simulated"}
        if subject.event_id is not None:
            body["event_id"] = subject.event_id
        reply = await self.ask("POST", PATH, json.dumps(body).encode(), (200, 201))
        id_ = json.loads(reply.body)["id"]
        self._acknowledged[subject] = id_
        self._judge()
        self.revocations += 1
        await asyncio.sleep(lasts_s)
        if self._acknowledged.pop(subject, None) is not None:
            # 404: it was done, and the answer was lost.
            await self.ask("DELETE", f"{PATH}/{id_}", b"", (204, 404))
            if subject not in self._acknowledged:
                self._undone.add(subject)
                self._judge()

    def restarted(self) -> None:
        """Judge what a new process knows, before anybody can ask it."""
        self._judge()

    async def settle(self) -> None:
        """Wait until everything is given back."""
        while self._busy:  # noqa: ASYNC110 - the tasks are the world's
            await asyncio.sleep(0.1)

    async def let_in(self, claims: dict[str, str]) -> None:
        """Wait until somebody with these claims is not revoked any more."""
        known = self._world.judge.answers.revoked
        while any(_concerns(subject, claims) for subject in known):  # noqa: ASYNC110 - as somebody tries again
            await asyncio.sleep(RETURN_S)

    def _judge(self) -> None:
        """I9: what was acknowledged is in force, before and after a crash; what was undone is not."""
        known = self._world.judge.answers.revoked
        for subject in self._acknowledged:
            if subject not in known:
                self._world.judge.fail("I9", f"{subject} was acknowledged, and is not in force")
        for subject in self._undone:
            if subject in known:
                self._world.judge.fail("I9", f"{subject} was undone, and is in force")

    async def ask(
        self, method: str, path: str, body: bytes, wanted: tuple[int, ...], more: Mapping[str, str] = {}
    ) -> Reply:
        """Ask until there is an answer that is wanted; `more`: further fields of the request."""
        fields = {"Authorization": f"Bearer {_KEY}", "Content-Type": "application/json", **more}
        while True:
            try:
                reply = await request(method, path, headers=fields, body=body)
            except (OSError, TimeoutError):
                reply = None
            if reply is not None and reply.whole and reply.status in wanted:
                return reply
            if reply is not None and reply.status not in (*wanted, 503):
                raise AssertionError(f"the operator was answered {reply.status}: {reply.body[:200]!r}")
            await asyncio.sleep(RETRY_S)


def subject_of(kind: SubjectKind, name: str, event_id: str) -> Subject:
    """Return what names somebody whose token, account and session bear its own name."""
    match kind:
        case SubjectKind.EVENT:
            return Subject(kind, event_id)
        case SubjectKind.ACCOUNT:
            return Subject(kind, name, event_id)
        case _:
            return Subject(kind, name)


def _concerns(subject: Subject, claims: dict[str, str]) -> bool:
    return claims.get(subject.kind.value) == subject.value
