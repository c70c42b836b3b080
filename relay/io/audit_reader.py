"""Reads the audit's chains, also while they are written: walks them, and makes each decision again."""

from __future__ import annotations

import json
from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Self

from kernel.errors import DecodeError
from relay.audit_chain import (
    Block,
    Head,
    block_length,
    check_block,
    first_link,
    inputs_in,
    read_block,
    records_in,
)
from relay.audit_records import (
    AuditRecord,
    DecisionRecord,
    Gap,
    Inputs,
    PolicyText,
    difference,
    inputs_from,
    judge_again,
    record_of,
)
from relay.io.audit_head import read_head
from relay.io.audit_keys import KEYS, DayKeys

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from relay.policies import Compile, CompiledPolicy

MAX_HEADER_BYTES = 1_024
MAX_COMPILED = 64
"""Policies that are kept compiled: the largest takes some megabytes."""


class Entry(NamedTuple):
    """A record, with its inputs where it has any and their key is there."""

    record: AuditRecord
    inputs: Inputs | None


class ChainFile:
    """Walk one chain. `name`, `node`, `position`, `count` and `link` say where it is.

    Raises:
        DecodeError: it does not begin as a chain does.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("rb")
        try:
            header = self._file.readline(MAX_HEADER_BYTES)
            told = json.loads(header)
            if not header.endswith(b"\n") or told["lockstep"] != "audit" or told["format"] != 1:
                raise ValueError("written by another Lockstep, or no chain")
            self.name, self.node = str(told["chain"]), str(told["node"])
        except (ValueError, KeyError, TypeError) as error:
            self._file.close()
            raise DecodeError(f"it does not begin as a chain does: {error}") from None
        self.position, self.count, self.link = len(header), 0, first_link(header)
        self.bound_to = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def go_on_from(self, position: int, count: int, link: bytes) -> None:
        """Walk from there on: it is known what lies before."""
        self.position, self.count, self.link = position, count, link
        self._file.seek(position)

    def blocks(self) -> Iterator[tuple[Block, list[bytes]]]:
        """Yield each whole block with the bytes of its records, once it is known to continue the chain.

        What follows the last whole block is the beginning of one that a process was writing, or is writing.

        Raises:
            DecodeError: a block does not continue the chain.
        """
        while True:
            prefix = self._file.read(4)
            if len(prefix) < 4:
                return
            length = block_length(prefix)
            data = self._file.read(length)
            if len(data) < length:
                return
            block = read_block(data)
            records = records_in(block)
            self.bound_to = check_block(self.link, block, records)
            if block.head.first != self.count:
                raise DecodeError(f"record {self.count} is expected, the block begins with {block.head.first}")
            self.link, self.position = block.link, self.position + 4 + length
            self.count += len(records)
            yield block, records


class Texts:
    """Compile policies, and keep some of what came of it."""

    def __init__(self, compile_: Compile) -> None:
        self._compile = compile_
        self._compiled: OrderedDict[str, CompiledPolicy] = OrderedDict()

    def policy(self, text: str) -> CompiledPolicy:
        """Return what a text is compiled to.

        Raises:
            DecodeError: it is no policy, or not one that we understand.
        """
        known = self._compiled.get(text)
        if known is None:
            known = self._compile(text)
            if len(self._compiled) >= MAX_COMPILED:
                self._compiled.popitem(last=False)
        self._compiled[text] = known
        self._compiled.move_to_end(text)
        return known


@dataclass(slots=True)
class Verified:
    """What came of walking a chain.

    Attributes:
        node: what the process was.
        chain: its name.
        records: how many it has.
        kinds: how many of each kind: decisions, policies, gaps.
        lost: how many records its gaps say are missing.
        replayed: decisions that were made again, to the same answer.
        sealed: decisions whose key is not there.
        sealed_days: of which days they are, counted from 1970.
        without_place: decisions in which no policy was asked: there is nothing to replay.
        link: with what it closes.
        met: which of the links that were looked for it has, or had.
        faults: what is wrong, the first one first.
        n_faults: how many there are; the list is cut.
    """

    node: str
    chain: str = ""
    records: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    replayed: int = 0
    sealed: int = 0
    sealed_days: set[int] = field(default_factory=set)
    without_place: int = 0
    link: bytes = b""
    met: set[bytes] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    n_faults: int = 0

    def fault(self, text: str) -> None:
        """Note what is wrong."""
        self.n_faults += 1
        if len(self.faults) < 20:
            self.faults.append(text)


class Audit:
    """All chains in a folder.

    Args:
        folder: where they are, and the keys.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._keys = DayKeys(folder / KEYS)

    def chains(self) -> list[Path]:
        """Return the chains, and those of which only the note of their end is left."""
        names = {path.stem for suffix in ("chain", "head") for path in self._folder.glob(f"*.{suffix}")}
        return [self._folder / f"{name}.chain" for name in sorted(names)]

    def verify(self, path: Path, texts: Texts, *, links: Collection[bytes] = ()) -> Verified:
        """Walk a chain, and make each decision again whose key is there.

        Args:
            path: the chain.
            texts: compiles policies.
            links: noted when they closed a chain; those that this one has are told.
        """
        told = Verified(path.stem)
        # Read before the chain is: who writes it is always further than the note.
        head_path = path.with_suffix(".head")
        noted, at_head = read_head(head_path), False
        policies: dict[tuple[str, int], str] = {}
        try:
            with ChainFile(path) as chain:
                told.chain, told.link = chain.name, chain.link
                told.met.update({chain.link} & set(links))
                at_head = noted is not None and (noted.chain, noted.link) == (chain.name, chain.link)
                for block, records in chain.blocks():
                    told.records, told.link = chain.count, chain.link
                    if chain.link in links:
                        told.met.add(chain.link)
                    at_head = at_head or (noted is not None and noted.link == chain.link)
                    for entry in self._entries(block, records, chain.bound_to, told):
                        _take_up(entry, told, policies, texts)
        except (OSError, DecodeError) as error:
            told.fault(f"after {told.records} records: {error}")
        if noted is None:
            told.fault(f"{head_path.name} is missing or damaged: whether the chain's end is there cannot be known")
        elif not at_head and not told.n_faults:
            told.fault(f"the end is missing: {noted.n_records} records are noted, {told.records} are there")
        return told

    def entries(self, path: Path, *, since_ms: int = 0) -> Iterator[Entry]:
        """Yield the records of a chain from a time in Unix ms on, blocks before it unread but checked.

        Raises:
            DecodeError: the chain is broken there.
            OSError: it cannot be read.
        """
        with ChainFile(path) as chain:
            for block, records in chain.blocks():
                if block.head.to_ms < since_ms:
                    continue
                for entry in self._entries(block, records, chain.bound_to, None):
                    if entry.record.at_ms >= since_ms:
                        yield entry

    def _entries(self, block: Block, records: list[bytes], bound_to: bytes, told: Verified | None) -> Iterator[Entry]:
        parsed = [record_of(data) for data in records]
        for number, record in enumerate(parsed, block.head.first):
            if record.seq != number:
                raise DecodeError(f"record {number} calls itself {record.seq}")
        inputs = self._inputs(block.head, block, bound_to)
        decisions = sum(isinstance(record, DecisionRecord) for record in parsed)
        if inputs is not None and len(inputs) != decisions:
            raise DecodeError(f"{decisions} decisions have {len(inputs)} inputs")
        rest = iter(inputs or ())
        for record in parsed:
            given = next(rest, None) if isinstance(record, DecisionRecord) else None
            if told is not None and isinstance(record, DecisionRecord) and given is None:
                told.sealed += 1
                told.sealed_days.add(block.head.day)
            yield Entry(record, given)

    def _inputs(self, head: Head, block: Block, bound_to: bytes) -> list[Inputs] | None:
        if not self._keys.has(head.day):
            return None
        unseal = lambda sealed, bound: self._keys.unseal(head.day, sealed, bound)  # noqa: E731
        return [inputs_from(one) for one in inputs_in(block, bound_to, unseal)]


def _take_up(entry: Entry, told: Verified, policies: dict[tuple[str, int], str], texts: Texts) -> None:
    record, inputs = entry
    match record:
        case PolicyText():
            told.kinds["policies"] += 1
            policies[record.policy_id, record.version] = record.text
        case Gap():
            told.kinds["gaps"] += 1
            told.lost += record.lost
        case DecisionRecord():
            told.kinds["decisions"] += 1
            if record.place is None:
                told.without_place += inputs is not None
            elif inputs is not None:
                why = _replay(record, inputs, policies, texts)
                if why is None:
                    told.replayed += 1
                else:
                    told.fault(f"record {record.seq}, session {record.session}: {why}")


def _replay(record: DecisionRecord, inputs: Inputs, policies: dict[tuple[str, int], str], texts: Texts) -> str | None:
    """Return why a decision cannot be made again to the same answer, None if it can."""
    again = []
    for said in record.answers():
        text = policies.get((said.policy_id, said.version))
        if text is None:
            return f"the text of {said.policy_id} version {said.version} is not on record"
        try:
            verdict = judge_again(texts.policy(text), inputs)
        except DecodeError as error:
            return f"the policy cannot be compiled: {error}"
        if verdict is None:
            return "its place is not on record"
        again.append(verdict)
    return difference(record, again)
