"""All files of the process that keeps them: opened together, or none is."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from feeds.io.journal import Journal
from kernel.io.system_time import wall
from lockstep.showings.store import ShowingStore
from relay.io.blackout_store import BlackoutStore
from relay.io.cut_store import CutStore
from relay.io.policy_store import PolicyStore
from relay.io.repeats import Repeats
from relay.io.revocation_store import RevocationStore
from relay.io.session_policy_store import SessionPolicyStore

if TYPE_CHECKING:
    from kernel.io.group_commit import GroupCommit


class Disk(NamedTuple):
    """What is on disk, in the process of feeds."""

    journal: Journal
    revoked: RevocationStore
    repeats: Repeats
    showings: ShowingStore
    policies: PolicyStore
    blackouts: BlackoutStore
    session_policies: SessionPolicyStore
    stream_count: SessionPolicyStore
    cuts: CutStore

    @classmethod
    async def open(cls, data_dir: Path) -> Self:
        """Open all files.

        Raises:
            JournalError: one of them cannot be opened.
        """
        async with AsyncExitStack() as opened:
            journal = await Journal.open(data_dir / "journal.sqlite", now=wall)
            opened.push_async_callback(journal.aclose)
            revoked = await RevocationStore.open(data_dir / "revocations.sqlite")
            opened.push_async_callback(revoked.aclose)
            repeats = await Repeats.open(data_dir / "repeats.sqlite")
            opened.push_async_callback(repeats.aclose)
            showings = await ShowingStore.open(data_dir / "showings.sqlite")
            opened.push_async_callback(showings.aclose)
            policies = await PolicyStore.open(data_dir / "policies.sqlite")
            opened.push_async_callback(policies.aclose)
            blackouts = await BlackoutStore.open(data_dir / "blackouts.sqlite")
            opened.push_async_callback(blackouts.aclose)
            session_policies = await SessionPolicyStore.open(data_dir / "session-policies.sqlite")
            opened.push_async_callback(session_policies.aclose)
            stream_count = await SessionPolicyStore.open(data_dir / "stream-count.sqlite")
            opened.push_async_callback(stream_count.aclose)
            cuts = await CutStore.open(data_dir / "cuts.sqlite")
            opened.pop_all()
        return cls(journal, revoked, repeats, showings, policies, blackouts, session_policies, stream_count, cuts)

    def writes(self) -> dict[str, GroupCommit]:
        """Return what commits, by the name of its file."""
        return {
            "journal": self.journal.writes,
            "revocations": self.revoked.writes,
            "repeats": self.repeats.writes,
            "showings": self.showings.writes,
            "policies": self.policies.writes,
            "blackouts": self.blackouts.writes,
            "session-policies": self.session_policies.writes,
            "stream-count": self.stream_count.writes,
            "cuts": self.cuts.writes,
        }

    async def aclose(self) -> None:
        """Close all of them."""
        await self.cuts.aclose()
        await self.stream_count.aclose()
        await self.session_policies.aclose()
        await self.blackouts.aclose()
        await self.policies.aclose()
        await self.showings.aclose()
        await self.repeats.aclose()
        await self.revoked.aclose()
        await self.journal.aclose()
