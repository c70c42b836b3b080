from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path

import pytest

from kernel.decisions import Scope, Verdict, Whence
from kernel.errors import DecodeError
from kernel.policies import PolicyRecord
from kernel.revocation import RevocationIndex
from kernel.value import replace
from relay.audit import Auditor, Judged
from relay.audit_records import DecisionRecord
from relay.fixes import FixBook
from relay.gate import Gate
from relay.io.audit_reader import Audit, ChainFile, Texts
from relay.io.audit_store import AuditStore
from relay.place import policy
from relay.place.model import Fix, IpPlace, NetworkClass, PlaceVerdict, Point, known_place
from relay.policies import PolicyIndex
from relay.token_cache import TokenCache
from relay.token_verifier import TokenVerifier
from relay.whereabouts import Whereabouts
from tests.support.auditing import FIX, WEST, compile_policy, judged, note, verified
from tests.support.tokens import NOW, claims


def written(folder: Path, *asked: Judged) -> Path:
    asyncio.run(_write(folder, *asked))
    return folder / "serve-1.chain"


async def _write(folder: Path, *asked: Judged) -> None:
    store = await AuditStore.open(folder, "serve", retention_days=30, wall=lambda: NOW)
    for number, one in enumerate(asked or (judged(), judged(fix=FIX), judged())):
        store.put(note(f"s{number}", at=NOW + number * 60, asked=one))
        await store.flush()
    await store.aclose()


def test_any_other_byte_of_a_chain_is_found(tmp_path: Path) -> None:
    path = written(tmp_path)
    whole = path.read_bytes()
    assert verified(tmp_path)[0].faults == []
    for at in range(len(whole)):
        other = bytearray(whole)
        other[at] ^= 1 << (at % 8)
        path.write_bytes(other)
        (told,) = verified(tmp_path)
        assert told.n_faults, f"byte {at} of {len(whole)}"


def test_any_cut_is_found(tmp_path: Path) -> None:
    path = written(tmp_path)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        (told,) = verified(tmp_path)
        assert told.n_faults, f"cut to {size} of {len(whole)}"
    path.unlink()
    assert verified(tmp_path)[0].n_faults


def test_a_block_that_is_left_out_put_twice_or_moved_is_found(tmp_path: Path) -> None:
    path = written(tmp_path)
    with ChainFile(path) as chain:
        ends = [chain.position, *(chain.position for _ in chain.blocks())]
    whole = path.read_bytes()
    header, *blocks = [whole[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]
    one, two, three = blocks
    for order in ((one, three), (one, one, two, three), (two, one, three), (one, two, three, three)):
        path.write_bytes(header + b"".join(order))
        assert verified(tmp_path)[0].n_faults


def test_an_answer_that_does_not_follow_is_found(tmp_path: Path) -> None:
    honest = judged()
    written(tmp_path, honest, replace(honest, verdict=PlaceVerdict(None, None, watch_rule="another")))
    (told,) = verified(tmp_path)
    assert (told.replayed, told.n_faults) == (1, 1)
    assert "watch_rule was another, is nothing" in told.faults[0]


def test_a_policy_that_nobody_understands_any_more(tmp_path: Path) -> None:
    path = written(tmp_path)

    def refuse(text: str) -> object:
        raise DecodeError("deny: no such field")

    told = Audit(tmp_path).verify(path, Texts(refuse))  # type: ignore[arg-type]
    assert told.n_faults == 3
    assert "cannot be compiled: deny" in told.faults[0]


def test_a_missing_note_of_the_end_is_a_fault(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.with_suffix(".head").write_text("nonsense")
    (told,) = verified(tmp_path)
    assert "serve-1.head is missing or damaged" in told.faults[0]


def test_entries_from_a_time_on(tmp_path: Path) -> None:
    path = written(tmp_path)
    audit = Audit(tmp_path)
    since = round(NOW * 1000) + 60_000
    assert [entry.record.at_ms for entry in audit.entries(path, since_ms=since)] == [since, since + 60_000]


def test_an_empty_folder_has_no_chains(tmp_path: Path) -> None:
    assert Audit(tmp_path / "audit").chains() == []


@pytest.mark.parametrize("data", [b"", b"{}\n", b"[]\n", b"1\n", b"x" * 2_000, b'{"lockstep":"audit","format":2}\n'])
def test_a_file_that_is_no_chain(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "serve-1.chain").write_bytes(data)
    (told,) = verified(tmp_path)
    assert "does not begin as a chain does" in told.faults[0]


def test_policies_are_compiled_once_and_few_are_kept() -> None:
    compiled: list[str] = []

    def counted(text: str) -> object:
        compiled.append(text)
        return compile_policy(text)

    texts = Texts(counted)  # type: ignore[arg-type]
    assert texts.policy(WEST.text or "") is texts.policy(WEST.text or "")
    for number in range(100):
        texts.policy(f'{{"deny":["{number}"]}}')
    assert len(compiled) == 101
    texts.policy(WEST.text or "")
    assert len(compiled) == 102


class Atlas:
    """Know some addresses by heart."""

    version = "atlas 1"

    def locate(self, address: str) -> IpPlace:
        country, lon = {"192.0.2.1": ("US", -118.1), "192.0.2.2": ("DE", 13.4)}.get(address, (None, -100.0))
        classes = frozenset({NetworkClass.VPN}) if address == "192.0.2.3" else frozenset[NetworkClass]()
        return known_place(address, country, point=Point(lon, 34.0), accuracy_m=1_000.0, classes=classes)


def us(**more: object) -> str:
    rules = [
        {"name": "home", "effect": "allow", "where": {"country": ["US"]}, "unknown": "apply"},
        {"name": "ring", "effect": "deny", "where": {"circle": {"lon": -118.0, "lat": 34.0, "radius_m": 5_000}}},
    ]
    return json.dumps({"policy_id": "us", "watch": {"default": "deny", "rules": rules}, **more})


async def _decide(folder: Path, draw: random.Random) -> None:
    """Have the gate decide on sessions that move, under two policies, one of which changes meanwhile."""
    index = PolicyIndex()

    def put(name: str, version: int, text: str) -> None:
        record = PolicyRecord(name, version, text, 1.0, "ops")
        index.heard(record)
        index.install(record, policy.compile_policy(text))

    put("us", 1, us(networks={"vpn": "warn"}, gps={"missing": "warn", "stale": "warn"}, geo_mismatch_action="warn"))
    put("eu", 1, json.dumps({"policy_id": "eu", "watch": {"default": "allow"}, "networks": {"vpn": "block"}}))
    store = await AuditStore.open(folder, "relay", retention_days=30, wall=lambda: NOW)
    whereabouts = Whereabouts(Atlas(), index, lambda _: "us", FixBook())
    gate = Gate(
        TokenCache(TokenVerifier({"k": b"k" * 32})), RevocationIndex(), whereabouts=whereabouts,
        notes=Auditor(store.put),
    )  # fmt: skip
    for number in range(2_000):
        if number == 1_000:
            put("us", 2, us())
        now, session = NOW + number / 100, f"s{draw.randrange(200)}"
        if draw.random() < 0.3:
            point = Point(draw.uniform(-118.3, -117.7), 34.0)
            whereabouts.took_fix(session, Fix(point, 10.0, now - draw.uniform(0, 400)))
        one = replace(claims(), session=session, geo=draw.choice([None, "eu", "lost"]))
        scope, address = draw.choice([Scope.WATCH, Scope.WAGER]), f"192.0.2.{draw.randint(1, 4)}"
        gate.decide(one, "game", scope, now=now, whence=Whence(address))
    await store.aclose()


def test_whatever_the_gate_decides_can_be_decided_again(tmp_path: Path) -> None:
    asyncio.run(_decide(tmp_path, random.Random(7)))
    audit = Audit(tmp_path)
    (path,) = audit.chains()
    told = audit.verify(path, Texts(policy.compile_policy))
    assert told.faults == []
    assert told.replayed == told.kinds["decisions"] > 1_000
    verdicts = {entry.record.verdict for entry in audit.entries(path) if isinstance(entry.record, DecisionRecord)}
    assert verdicts == {Verdict.ADMIT, Verdict.WARN, Verdict.REFUSE}
