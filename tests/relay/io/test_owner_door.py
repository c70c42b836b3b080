from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response

from kernel.decisions import Whence
from kernel.revocation import Revocation, RevocationIndex, Subject, SubjectKind
from kernel.tokens import Keyring, Purpose
from relay.entitlements import Entitlements
from relay.gate import Gate
from relay.io.owner_door import OwnerDoor, may_see, name_of
from relay.operators import Operator, OperatorScope
from tests.support.doors import FULL, READER, Door, open_door
from tests.support.tokens import KEYS, NOW, cache, claims, token


class Rig:
    def __init__(self, operators: Door) -> None:
        self.index, self.entitlements = RevocationIndex(), Entitlements(KEYS, new_id=lambda: "id")
        gate = Gate(cache(), self.index, entitlements=self.entitlements)
        self.door = OwnerDoor(operators, gate, wall=lambda: float(NOW))

    def ask(
        self, text: str | None, scope: OperatorScope = OperatorScope.SESSION, address: str = "192.0.2.7"
    ) -> Operator | str | int:
        headers = [] if text is None else [(b"authorization", f"Bearer {text}".encode())]
        request = Request({"type": "http", "headers": headers, "client": (address, 1), "method": "GET", "path": "/"})
        asker = self.door.admit(request, scope)
        return asker.status_code if isinstance(asker, Response) else asker


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    door = await open_door(tmp_path)
    yield Rig(door)
    await door.aclose()


async def test_who_may(rig: Rig) -> None:
    ops = rig.ask(FULL)
    assert isinstance(ops, Operator)
    assert (may_see(ops, "anybody"), name_of(ops)) == (True, "ops")
    assert rig.ask(READER) == 403
    assert isinstance(rig.ask(READER, OperatorScope.READ), Operator)
    own = rig.ask(token())
    assert own == "ann"
    assert (may_see("ann", "ann"), may_see("ann", "bob"), name_of("ann")) == (True, False, "account")
    bought = Keyring(KEYS).issue(claims(account="bob"), Purpose.ENTITLEMENT)
    assert rig.ask(bought) == "bob"


async def test_who_may_not(rig: Rig) -> None:
    for text in (None, "a.b.c", "lko_x", Keyring({"k1": b"o" * 32}).issue(claims())):
        assert rig.ask(text) == 401
    assert rig.ask(token(expires=NOW - 1)) == 403
    here = Whence("192.0.2.7", "")
    tied = rig.entitlements.begin(claims(), here, now=NOW)
    assert rig.ask(tied) == "ann"
    # A link that was handed on is no key to the account.
    assert rig.ask(tied, address="198.51.100.7") == 403
    rig.index.apply(Revocation("r", Subject(SubjectKind.ACCOUNT, "ann"), "", NOW, None, "ops"))
    assert rig.ask(token()) == 403
