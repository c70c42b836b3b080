"""Who writes a deployment's log: one process, however many were started.

Two keys of Redis say it. The one names the holder, its journal and a random name of the process, and stays. Every
write looks at it in the very step in which it takes effect: a holder that stood still while another took over writes
nothing more when it goes on. The other key runs out when the holder has not renewed it for `LEASE_S`.

* A process with another journal is refused until the lease has run out: it would begin another log.
* One with the same journal takes over at once, for its file admits one process at a time: the one before it is gone.
* Redis has lost the holder's name, or what it has is whom this one took over from: the holder takes it again. Whoever
  comes first after a wipe is the holder.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kernel.io.redis_outbox import Command

LEASE_S = 30.0
"""How long a holder that stands still is waited for, in seconds: longer than a machine that swaps, a restart, a
fail-over of Redis; whoever takes over begins another log, so it is not done lightly."""

SURE_S = 25.0
"""Age of the last renewal beyond which a process no longer relies on being the holder, in seconds: a part of the lease,
the rest is for what it has begun to do."""

_TAKE = """
local held = redis.call('GET', KEYS[1]) or ''
local free = held == '' or held == ARGV[1] or held == ARGV[2]
if ARGV[3] ~= '' and not free then
  free = string.sub(held, 1, #ARGV[3]) == ARGV[3] or redis.call('EXISTS', KEYS[2]) == 0
end
if not free then return {0, held, redis.call('PTTL', KEYS[2])} end
if held ~= ARGV[1] then redis.call('SET', KEYS[1], ARGV[1]) end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[4])
return {1, held, 0}
"""

_WRITE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'not the holder' end
local at = 3
while at <= #ARGV do
  local last = at + tonumber(ARGV[at])
  local answer = redis.pcall(unpack(ARGV, at + 1, last))
  if type(answer) == 'table' and answer.err and not string.find(answer.err, ARGV[2], 1, true) then
    return answer.err
  end
  at = last + 1
end
return ''
"""
"""It ends at the first fault: what comes after it must not be there without it."""

_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[2]) end return 1"


class Tenure:
    """Ask for the right to write, keep it, and write by it; the caller has the connection.

    Args:
        prefix: begins every key.
        journal: names the log's journal; without spaces.
        name: names this process, unlike any other.
    """

    def __init__(self, prefix: str, journal: str, name: str) -> None:
        self._prefix = prefix
        self._keys = (f"{prefix}:ingest", f"{prefix}:ingest:lease")
        self._journal = f"{journal} "
        self._me: Final = f"{journal} {name}"
        self._before = b""
        self.held_at = float("-inf")
        """When it was last certain that we hold it, by the caller's steady clock, in seconds."""
        self.lost = False
        """Whether another process has taken it over; we never get it back."""

    def begin(self) -> Command:
        """Ask for it: granted to the same journal, or if nobody else has a lease."""
        return self._take(self._journal)

    def keep(self) -> Command:
        """Renew it: granted unless another process has taken it."""
        return self._take("")

    def take_in(self, answer: Sequence[int | bytes], *, asked: float) -> float | None:
        """Read the answer to either of the two.

        Args:
            answer: as it came.
            asked: when it was asked, by a steady clock in seconds.

        Returns:
            None where we hold it, else how much longer the other's lease lasts at most, in seconds.
        """
        granted, held, left_ms = answer
        if granted:
            assert isinstance(held, bytes)
            if held not in (b"", self._me.encode()):
                self._before = held
            self.held_at = asked
            return None
        self.lost = True
        return max(0, int(left_ms)) / 1_000

    def refusal(self, address: str, left_s: float) -> str:
        """Return what to tell who was refused it: by whom, and what to do."""
        return (
            f"another `lockstep ingest`, with a journal of its own, writes the log at {address} (prefix "
            f"{self._prefix}): stop it, or give this deployment another prefix below [bus]; if it is gone for good, "
            f"its log is free in {left_s:.0f} s"
        )

    def is_sure(self, now: float) -> bool:
        """Tell whether no other process can hold it at `now`, by the same clock."""
        return not self.lost and now - self.held_at < SURE_S

    def guarded(self, commands: Sequence[Command], *, passed_over: str) -> Command:
        """Return one command that does all of these, in order, if we are the holder; it answers with what is wrong.

        Args:
            commands: each a tuple of its words, at most some thousands.
            passed_over: what the error says that is none.
        """
        words = [word for command in commands for word in (len(command), *command)]
        return ("EVAL", _WRITE, 1, self._keys[0], self._me, passed_over, *words)

    def release(self) -> Command:
        """Give up the lease at an end in order: another journal need not wait for it."""
        return ("EVAL", _RELEASE, 2, *self._keys, self._me)

    def _take(self, journal: str) -> Command:
        return ("EVAL", _TAKE, 2, *self._keys, self._me, self._before, journal, round(LEASE_S * 1_000))
