"""A subscription as its client sees it: what came goes in, what the application should see comes out.

Promises to the application: each `o` once; a gap is either filled by a resume or followed by a whole snapshot; after
three seconds without a heartbeat every market counts as suspended. No sockets, no clock: `hub/io/client.py` drives it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hub.floors import Floors
from hub.state import State

if TYPE_CHECKING:
    from collections.abc import Mapping

STALE_S = 3.0
"""PROTOCOL, promise 4: who has seen no heartbeat for that long treats every market as suspended."""

MAX_SEEN = 200_000
"""How many offsets are remembered to tell repeats: twice what a server keeps for a resume."""

MAX_MISMATCHES = 3
"""After how many wrong hashes in a row the connection is given up, and with it whatever is wrong there."""

_BASE_S, _CAP_S, _MAX_DOUBLINGS = 0.5, 30.0, 8
_FINAL = range(4500, 5000)
_FINAL_BELOW = range(3500, 4000)


class Session:
    """Keep one subscription over any number of connections. Times are seconds of any steady clock.

    Args:
        wish: the fields of `sub`, without `cur`.
    """

    def __init__(self, wish: Mapping[str, Any]) -> None:
        self.wish = dict(wish)
        self.cur: str | None = None
        self.state = State(Floors())
        self.mismatches = 0
        self.repeats = 0
        """Cues that came again, or behind a newer revision, and were kept from the application."""
        self.leaving: Mapping[str, Any] | None = None
        """What was said last of the session's having to go: `ends` and `code`; None: it may stay."""
        self._epoch: str | None = None
        self._seen: dict[int, None] = {}
        self._corrected: dict[str, int] = {}
        self._heard_at: float | None = None
        self._allowed = False
        self._whole = False
        self._disturbed = False
        self._attempts = 0
        self._outgoing: list[dict[str, Any]] = []

    # A connection.

    def connected(self) -> dict[str, Any]:
        """Begin a connection; return the first message to be sent, after `auth` where that is needed."""
        self._outgoing.clear()
        return self._sub()

    def take_outgoing(self) -> list[dict[str, Any]]:
        """Return what is to be sent now, and forget it."""
        taken, self._outgoing = self._outgoing, []
        return taken

    def receive(self, frame: Mapping[str, Any], now: float) -> bool:
        """Take in a frame; return whether the application should see it: all but repeated and outdated cues."""
        op = frame.get("op")
        if op == "cue":
            return self._cue(frame)
        if op == "hb":
            self._heartbeat(frame, now)
        elif op == "snap":
            self._snap(frame)
        elif op == "sub":
            self._subscribed(frame)
        elif op == "resync":
            self._begin_anew()
        elif op == "session":
            self.leaving = frame
        elif op == "bye":
            self.cur = frame.get("cur", self.cur)
        return True

    def wait_s(self, code: int | None, retry_ms: int | None, fraction: float) -> float | None:
        """Return how long to wait before the next connection, None if there should be none.

        Args:
            code: of the Close frame; None if the connection broke without one.
            retry_ms: what the server asked for, if it did.
            fraction: a random number from 0 up to 1: full jitter, so that ten thousand do not come back at once.
        """
        self._allowed = False
        if code is not None and (code in _FINAL or code in _FINAL_BELOW):
            return None
        spread = min(_CAP_S, _BASE_S * (1 << min(self._attempts, _MAX_DOUBLINGS)))
        self._attempts += 1
        return (retry_ms or 0) / 1000 + fraction * spread

    # What holds.

    def is_stale(self, now: float) -> bool:
        """Return whether the last heartbeat is too long ago."""
        return self._heard_at is None or now - self._heard_at > STALE_S

    def may_wager(self, now: float) -> bool:
        """Return whether bets may be offered at all: said by the server, and lately."""
        return self._allowed and self._whole and not self.is_stale(now)

    def markets(self, now: float) -> dict[str, dict[str, Any]]:
        """Return every known market as it may be shown: suspended where the server or its silence says so."""
        standing = self.state.markets()
        if not self.may_wager(now):
            for market in standing.values():
                if market.get("st") == "open":
                    market["st"] = "suspended"
        return standing

    def _sub(self) -> dict[str, Any]:
        message = {"op": "sub", **self.wish}
        if self.cur is not None:
            message["cur"] = self.cur
        return message

    def _subscribed(self, frame: Mapping[str, Any]) -> None:
        if frame.get("epoch") != self._epoch:
            # Offsets mean something else.
            self._epoch = frame.get("epoch")
            self._seen.clear()
            self._corrected.clear()
        if frame.get("resumed"):
            self._whole = True
        else:
            self._begin_anew()

    def _begin_anew(self) -> None:
        self.cur = None
        self.state = State(Floors())
        self._corrected.clear()
        self._whole = self._disturbed = False

    def _cue(self, cue: Mapping[str, Any]) -> bool:
        if cue.get("cls") == "safety":
            self.state.floors.raise_by(cue["type"], cue)
            self._disturbed = True
        else:
            # Also a repeated one: it may have come before the snapshot it is not in.
            self.state.fold_cue(cue)
        o = cue["o"]
        if o in self._seen:
            self.repeats += 1
            return False
        self._seen[o] = None
        if len(self._seen) > MAX_SEEN:
            del self._seen[next(iter(self._seen))]
        if not self._is_outdated(cue):
            return True
        self.repeats += 1
        return False

    def _is_outdated(self, cue: Mapping[str, Any]) -> bool:
        """Return whether a newer revision was shown: a server that goes by an earlier picture does not send that yet.

        Where one has been ended and another one begun, somebody who resumes may stand further back than it was.
        """
        id_, rev, corrected = cue["id"], cue["rev"], self._corrected
        if rev < corrected.get(id_, 0):
            return True
        # What the sequencer says of a market in its own name is ordered by `ver`.
        if rev > 1 and cue.get("cls") != "safety" and ":~" not in id_:
            corrected[id_] = rev
            if len(corrected) > MAX_SEEN:
                del corrected[next(iter(corrected))]
        return False

    def _heartbeat(self, frame: Mapping[str, Any], now: float) -> None:
        self._heard_at = now
        self._allowed = frame.get("may_wager") is True
        if frame.get("cur") is not None:
            self.cur = frame["cur"]
            self._attempts = 0
        if "hash" in frame and self._whole:
            self._verify(frame["hash"])

    def _snap(self, frame: Mapping[str, Any]) -> None:
        self.state.load(frame["state"])
        if frame["i"] != frame["n"]:
            return
        self.cur, self._whole = frame["cur"], True
        if not self._disturbed:
            # A suspend that overtook the pieces is not in their hash.
            self._verify(frame["hash"])

    def _verify(self, told: str) -> None:
        if told == self.state.hash():
            self.mismatches = 0
            return
        self.mismatches += 1
        self._begin_anew()
        if self.mismatches < MAX_MISMATCHES:
            self._outgoing += [{"op": "unsub"}, self._sub()]
