from __future__ import annotations

import asyncio
import fcntl
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from kernel.errors import JournalError
from kernel.policies import PolicyRecord
from kernel.value import replace
from relay.audit_chain import Head
from relay.audit_records import DecisionRecord, Gap, PolicyText
from relay.io import audit_store
from relay.io.audit_reader import Audit, Entry, Verified
from relay.io.audit_store import AuditStore
from tests.support.auditing import DAY_S, FIX, PLACE, WEST, judged, note, verified
from tests.support.tokens import NOW

ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def opened(
    folder: Path, *, name: str = "serve", now: float = NOW, retention_days: int = 30
) -> AsyncIterator[AuditStore]:
    store = await AuditStore.open(folder, name, retention_days=retention_days, wall=lambda: now)
    try:
        yield store
    finally:
        await store.aclose()
        await store.aclose()


async def checked(folder: Path) -> list[Verified]:
    return await asyncio.to_thread(verified, folder)


async def read(folder: Path) -> list[Entry]:
    audit = Audit(folder)
    return await asyncio.to_thread(lambda: [entry for path in audit.chains() for entry in audit.entries(path)])


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_what_is_noted_is_a_chain_and_is_replayed(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        for number in range(5):
            store.put(note(f"s{number}", asked=judged(fix=FIX if number % 2 else None)))
        store.put(note("plain", address="198.51.100.3"))
        await store.flush()
        assert (store.records, store.lost, store.waiting) == (7, 0, 0)
        # While it is being written.
        (told,) = await checked(tmp_path)
        assert told.faults == []
    (told,) = await checked(tmp_path)
    assert (told.records, told.replayed, told.without_place, told.sealed, told.lost) == (7, 5, 1, 0, 0)
    assert (dict(told.kinds), told.faults) == ({"policies": 1, "decisions": 6}, [])
    entries = await read(tmp_path)
    assert isinstance(entries[0].record, PolicyText)
    assert entries[0].record.text == WEST.text
    assert entries[2].inputs is not None
    assert (entries[2].inputs.place, entries[2].inputs.fix) == (PLACE, FIX)
    assert (entries[6].inputs and entries[6].inputs.address) == "198.51.100.3"
    assert {path.stat().st_mode & 0o777 for path in files(tmp_path)} == {0o600}


async def test_nothing_personal_is_in_the_files(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        for number in range(50):
            store.put(note(f"s{number}", asked=judged(fix=FIX)))
            store.put(note(f"t{number}", address="198.51.100.3"))
    everything = b"".join(path.read_bytes() for path in files(tmp_path))
    for text in ("203.0.113", "198.51.100", "Pasadena", "91101", "118.14", "34.15", "64500", "-118", "US-CA"):
        assert text.encode() not in everything


async def test_a_restart_continues_the_chain(tmp_path: Path) -> None:
    for number in range(3):
        async with opened(tmp_path) as store:
            store.put(note(f"s{number}", asked=judged()))
    (told,) = await checked(tmp_path)
    # The text of the policy is there once for each run.
    assert (told.records, told.replayed, told.faults) == (6, 3, [])


async def test_each_version_of_a_policy_is_on_record_once(tmp_path: Path) -> None:
    second = PolicyRecord("west", 2, '{"policy_id":"west","deny":["US"]}', 2.0, "ops")
    async with opened(tmp_path) as store:
        for policy in (WEST, WEST, second, second):
            store.put(note(asked=judged(policy=policy)))
            await store.flush()
    (told,) = await checked(tmp_path)
    assert (dict(told.kinds), told.replayed, told.faults) == ({"policies": 2, "decisions": 4}, 4, [])


async def test_two_policies_that_must_agree_are_both_replayed(tmp_path: Path) -> None:
    east = PolicyRecord("east", 2, '{"policy_id":"east","deny":["US"]}', 2.0, "ops")
    async with opened(tmp_path) as store:
        store.put(note(asked=replace(judged(policy=east), beside=judged())))
    (told,) = await checked(tmp_path)
    assert (dict(told.kinds), told.replayed, told.faults) == ({"policies": 2, "decisions": 1}, 1, [])


async def test_two_processes_write_two_chains(tmp_path: Path) -> None:
    async with opened(tmp_path, name="relay") as one, opened(tmp_path, name="relay") as other:
        one.put(note("a", asked=judged()))
        other.put(note("b", asked=judged()))
    assert [(told.node, told.replayed, told.faults) for told in await checked(tmp_path)] == [
        ("relay-1", 1, []),
        ("relay-2", 1, []),
    ]
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["2027-01-15.key"]


async def test_a_destroyed_key_leaves_a_chain_whose_inputs_nobody_reads(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        store.put(note("old", asked=judged()))
    with capture_logs() as logs:
        async with opened(tmp_path, now=NOW + 31 * DAY_S) as store:
            store.put(note("new", at=NOW + 31 * DAY_S, asked=judged()))
    assert [line["event"] for line in logs] == ["audit.key_destroyed"]
    (told,) = await checked(tmp_path)
    assert (told.records, told.sealed, told.replayed, told.faults) == (4, 1, 1, [])
    old, new = [entry for entry in await read(tmp_path) if isinstance(entry.record, DecisionRecord)]
    assert (old.inputs, new.inputs is not None) == (None, True)


async def test_notes_of_two_days_have_two_keys(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        for number in range(4):
            store.put(note(f"s{number}", at=NOW + number // 2 * DAY_S, asked=judged()))
    assert len(list((tmp_path / "keys").iterdir())) == 2
    (told,) = await checked(tmp_path)
    assert (told.replayed, told.faults) == (4, [])


async def test_too_many_are_counted_and_said_in_the_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_store, "MAX_WAITING", 10)
    async with opened(tmp_path) as store:
        stands, go_on = threading.Event(), threading.Event()
        _stall(store, stands, go_on)
        try:
            store.put(note("first"))
            await asyncio.to_thread(stands.wait)
            for number in range(100):
                store.put(note(f"s{number}"))
            lost = store.lost
        finally:
            go_on.set()
        await store.flush()
    assert lost == 90
    (told,) = await checked(tmp_path)
    assert (told.kinds["gaps"], told.lost, told.kinds["decisions"]) == (1, lost, 11)
    assert told.faults == []


def _stall(store: AuditStore, stands: threading.Event, go_on: threading.Event) -> None:
    """Have the writer stand still with its next batch."""
    write = store._append

    def stalled(made: object) -> None:
        stands.set()
        go_on.wait()
        write(made)  # type: ignore[arg-type]

    store._append = stalled  # type: ignore[method-assign]


async def test_what_the_disk_does_not_take_is_said_in_the_chain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as store:
        store.put(note("a", asked=judged()))
        await store.flush()
        write = os.write

        def half(descriptor: int, data: bytes) -> int:
            if descriptor != store._descriptor:
                return write(descriptor, data)
            if len(data) > 100:
                return write(descriptor, bytes(data)[:100])
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "write", half)
        with capture_logs() as logs:
            store.put(note("b"))
            store.put(note("c"))
            await store.flush()
        assert [(line["event"], line["records"]) for line in logs] == [("audit.not_written", 2)]
        monkeypatch.undo()
        store.put(note("d"))
        await store.flush()
        assert store.lost == 2
    (told,) = await checked(tmp_path)
    assert (told.kinds["decisions"], told.lost, told.faults) == (2, 2, [])
    assert [entry.record.lost for entry in await read(tmp_path) if isinstance(entry.record, Gap)] == [2]


WRITER = """
import asyncio, sys
from pathlib import Path
from relay.io.audit_store import AuditStore
from tests.support.auditing import judged, note

async def main():
    store = await AuditStore.open(Path(sys.argv[1]), "serve", retention_days=30, wall=lambda: 1.8e9)
    number = 0
    while True:
        for _ in range(200):
            number += 1
            store.put(note(f"s{number}", at=1.8e9, asked=judged()))
        await store.flush()
        print(number, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("lines", [1, 3, 10])
async def test_a_killed_process_leaves_a_chain(tmp_path: Path, lines: int) -> None:
    writer = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(tmp_path), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert writer.stdout is not None
    promised = 0
    for _ in range(lines):
        promised = int(await writer.stdout.readline())
    writer.kill()
    await writer.communicate()
    (told,) = await checked(tmp_path)
    assert told.faults == []
    assert told.kinds["decisions"] >= promised
    async with opened(tmp_path) as store:
        store.put(note("after", asked=judged()))
    (again,) = await checked(tmp_path)
    assert (again.faults, again.kinds["decisions"]) == ([], told.kinds["decisions"] + 1)


async def written(folder: Path) -> Path:
    async with opened(folder) as store:
        for number in range(3):
            store.put(note(f"s{number}", asked=judged(fix=FIX)))
            await store.flush()
    return folder / "serve-1.chain"


async def test_the_beginning_of_a_block_is_removed(tmp_path: Path) -> None:
    path = await written(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[-50:-20].replace(whole[-50:-46], (5_000).to_bytes(4, "big")))
    (told,) = await checked(tmp_path)
    assert (told.records, told.faults) == (4, [])
    with capture_logs() as logs:
        async with opened(tmp_path):
            pass
    assert [line["event"] for line in logs] == ["audit.unfinished_block"]
    assert path.read_bytes() == whole


async def test_a_block_behind_the_noted_end_is_kept(tmp_path: Path) -> None:
    path = await written(tmp_path)
    async with opened(tmp_path) as store:
        head = path.with_suffix(".head").read_bytes()
        store.put(note("more", asked=judged()))
    path.with_suffix(".head").write_bytes(head)
    async with opened(tmp_path) as store:
        store.put(note("most", asked=judged()))
    (told,) = await checked(tmp_path)
    assert (told.kinds["decisions"], told.faults) == (5, [])


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-300])


def _no_head(path: Path) -> None:
    path.with_suffix(".head").unlink()


def _gone(path: Path) -> None:
    path.unlink()


def _begun_otherwise(path: Path) -> None:
    path.write_bytes(b"{}\n")


@pytest.mark.parametrize("harm", [_cut, _no_head, _gone, _begun_otherwise])
async def test_a_chain_that_was_harmed_is_left_as_it_is(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    path = await written(tmp_path)
    harm(path)
    left = path.read_bytes() if path.exists() else b""
    with capture_logs() as logs:
        async with opened(tmp_path) as store:
            store.put(note("new", asked=judged()))
    assert "audit.chain_broken" in [line["event"] for line in logs]
    assert path.read_bytes() == left
    first, second = await checked(tmp_path)
    assert first.n_faults == 1
    assert (second.node, second.replayed, second.faults) == ("serve-2", 1, [])


async def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "audit").write_text("x")
    with pytest.raises(JournalError, match="audit"):
        await AuditStore.open(tmp_path / "audit", "serve", retention_days=30, wall=lambda: NOW)


async def test_what_is_put_after_the_end_is_lost_and_no_fault(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        pass
    store.put(note())
    assert store.lost == 1


async def test_the_lock_ends_with_the_store(tmp_path: Path) -> None:
    path = await written(tmp_path)
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_block_has_the_key_of_its_first_record() -> None:
    assert Head(0, 1, 86_400_000, 1).day == 1
