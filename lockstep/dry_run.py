"""Whom another policy would have cut, or let in: the audit's decisions, made again by it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from relay.audit_records import DecisionRecord, judge_again

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kernel.tokens import Reason
    from relay.io.audit_reader import Entry
    from relay.place.model import PlaceVerdict
    from relay.policies import CompiledPolicy

MAX_SESSIONS = 2_000_000


class Changed(NamedTuple):
    """A session that would have fared otherwise.

    Args:
        session: its id.
        account: whose it is.
        event_id: what it is for.
        scope: `watch` or `wager`.
        at_ms: of the first decision that would have been another, in Unix ms.
        before: why it was refused, None if it was not.
        after: why it would have been.
    """

    session: str
    account: str
    event_id: str
    scope: str
    at_ms: int
    before: Reason | None
    after: Reason | None


@dataclass(slots=True)
class DryRun:
    """What came of it.

    Attributes:
        decisions: how many were made again.
        sealed: how many could not be, for their key is destroyed.
        sessions: how many sessions they were of.
        cut: sessions that were admitted and would have been refused.
        let_in: sessions that were refused and would have been admitted.
        other: sessions that would have been refused for another reason.
    """

    decisions: int = 0
    sealed: int = 0
    sessions: int = 0
    cut: list[Changed] = field(default_factory=list)
    let_in: list[Changed] = field(default_factory=list)
    other: list[Changed] = field(default_factory=list)


def dry_run(entries: Iterable[Entry], policy_id: str, policy: CompiledPolicy) -> DryRun:
    """Judge again whatever was judged by a policy of that name, whichever its version.

    Args:
        entries: records with their inputs.
        policy_id: the name under which the policy would be put in force.
        policy: what it would be.
    """
    told = DryRun()
    sessions: set[str] = set()
    changed: dict[tuple[str, str], tuple[Changed, list[Changed]]] = {}
    for record, inputs in entries:
        if not isinstance(record, DecisionRecord):
            continue
        said = next((one for one in record.answers() if one.policy_id == policy_id), None)
        if said is None:
            continue
        if inputs is None:
            told.sealed += 1
            continue
        again = judge_again(policy, inputs)
        if again is None:
            continue
        told.decisions += 1
        if len(sessions) < MAX_SESSIONS:
            sessions.add(record.session)
        for one in _changes(record, said.place, again):
            among = told.cut if one.before is None else told.let_in if one.after is None else told.other
            key = (one.session, one.scope)
            known = changed.get(key)
            # To be cut at any time of the day is to be cut.
            if known is None or (among is told.cut and known[1] is not told.cut):
                changed[key] = (one, among)
    for one, among in changed.values():
        among.append(one)
    told.sessions = len(sessions)
    return told


def _changes(record: DecisionRecord, before: PlaceVerdict, after: PlaceVerdict) -> list[Changed]:
    pairs = (("watch", before.watch, after.watch), ("wager", before.wager, after.wager))
    return [
        Changed(record.session, record.account, record.event_id, scope, record.at_ms, then, now)
        for scope, then, now in pairs
        if then is not now
    ]
