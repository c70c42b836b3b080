"""A file that one object owns, and whose every change is on disk before anybody is told: what such stores share."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from kernel.io.group_commit import GroupCommit

if TYPE_CHECKING:
    from pathlib import Path


class CommittedFile:
    """The only owner of a file. Make it with `open`, inside a running loop; a subclass says what lies in it.

    Every method raises JournalError where the disk cannot keep the promise.
    """

    schema: ClassVar[str]
    """SQL that makes what is not there."""
    version: ClassVar[int]
    """The schema's; a file of a higher one is refused."""

    def __init__(self, commits: GroupCommit) -> None:
        self._commits = commits

    @classmethod
    async def open(cls, path: Path, *, commits: type[GroupCommit] = GroupCommit) -> Self:
        """Open or make the file, readable by its owner only.

        Args:
            path: the SQLite file; its folder is made where it is absent.
            commits: what runs its work: a thread, unless somebody has another place for it.

        Raises:
            JournalError: it is damaged, held by another process, or cannot be written.
        """
        return cls(await commits.open(path, schema=cls.schema, version=cls.version))

    @property
    def writes(self) -> GroupCommit:
        """Return what commits, to see how it does."""
        return self._commits

    async def aclose(self) -> None:
        """Write what is waiting, then close the file."""
        await self._commits.aclose()
