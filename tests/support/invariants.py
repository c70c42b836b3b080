"""The invariants as pure functions over what was recorded: of the wire, of the log, of what relays opened.

Each returns the violations it found, in words; an empty list means that it held. They know the protocol and nothing of
the hub's code, so the same ones judge pure streams, real processes and, later, the simulator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Frame = Mapping[str, Any]
Place = tuple[int, int]
"""(timeline, pts): a media time as it stands on the wire."""


@dataclass(frozen=True)
class Fact:
    """An entry of the log as far as the judges must know it; `due` None is safety. `at` is when it was on the bus."""

    o: int
    id: str
    rev: int
    due: Place | None
    at: float
    type: str
    cls: str
    kind: str = "new"
    mid: str | None = None
    ver: int = 0
    bodiless: bool = False


@dataclass
class Wire:
    """What one client was sent: (time, connection, frame), and what its application was shown of it."""

    frames: list[tuple[float, int, Frame]] = field(default_factory=list)
    shown: list[Frame] = field(default_factory=list)

    def of(self, op: str) -> list[tuple[float, int, Frame]]:
        """Return the frames of one kind."""
        return [one for one in self.frames if one[2]["op"] == op]


def early(wire: Wire, log: Mapping[int, Fact], frontier: Callable[[float], Place]) -> list[str]:
    """I1: nothing held was sent while its due lay at or beyond the frontier, which `frontier` tells for any time."""
    return [
        f"{cue['o']} at {now}: due {log[cue['o']].due}, frontier {frontier(now)}"
        for now, _, cue in wire.of("cue")
        if (due := log[cue["o"]].due) is not None and not due < frontier(now)
    ]


def unserved(wire: Wire, log: Mapping[int, Fact], allowed: Callable[[float], Place]) -> list[str]:
    """I1 for a viewer that reports: whatever it claims, nothing held was sent that it may not have seen.

    `allowed` tells for any time the end of the last segment served to its session or, if that is later, how far one
    that never reports could see: a lie is worth no more than silence.
    """
    return [
        f"{cue['o']} at {now}: due {log[cue['o']].due}, served or open to the silent is {allowed(now)}"
        for now, _, cue in wire.of("cue")
        if (due := log[cue["o"]].due) is not None and not due < allowed(now)
    ]


def repeated(wire: Wire) -> list[str]:
    """I3: no offset twice for the application, within one epoch."""
    seen: set[tuple[str | None, int]] = set()
    found = []
    epoch: str | None = None
    for frame in wire.shown:
        if frame["op"] == "sub":
            epoch = frame["epoch"]
        elif frame["op"] == "cue":
            key = (epoch, frame["o"])
            if key in seen:
                found.append(f"{key} was shown twice")
            seen.add(key)
    return found


def disordered(flushes: Iterable[Sequence[Frame]], log: Mapping[int, Fact]) -> list[str]:
    """I4: of what came in one flush, (due, o) rises."""
    found = []
    for flush in flushes:
        places = [(due, cue["o"]) for cue in flush if (due := log[cue["o"]].due) is not None]
        if places != sorted(places):
            found.append(f"{places}")
    return found


def dishonest(wire: Wire) -> list[str]:
    """I5: who is not resumed, or is recalled, gets a whole snapshot, in order, before anything that is held."""
    found: list[str] = []
    expects: int | None = None
    for now, _, frame in wire.frames:
        op = frame["op"]
        if op in ("sub", "resync"):
            expects = 1 if op == "resync" or not frame["resumed"] else None
        elif op == "hello":
            expects = None
        elif op == "snap":
            if frame["i"] != expects:
                found.append(f"at {now}: piece {frame['i']} of {frame['n']}, expected was {expects}")
            expects = None if frame["i"] == frame["n"] else frame["i"] + 1
        elif op == "cue" and frame["cls"] != "safety" and expects is not None:
            found.append(f"at {now}: cue {frame['o']} before the snapshot was whole")
    return found


def below_floor(wire: Wire) -> list[str]:
    """I6: no price and no reopen at or below the floor of a suspend or `inv` that was sent before it."""
    found = []
    everywhere = -1
    floors: dict[str, int] = {}
    for now, _, frame in wire.frames:
        if frame["op"] == "sub" and not frame["resumed"]:
            everywhere, floors = -1, {}
        if frame["op"] != "cue":
            continue
        body = frame.get("market") or frame.get("price") or {}
        mid = body.get("mid", frame.get("inv", {}).get("mid", ""))
        if frame["cls"] == "safety" and frame["type"] == "suspend":
            if mid:
                floors[mid] = max(floors.get(mid, -1), frame["ver"])
            else:
                everywhere = max(everywhere, frame.get("ver", 0))
        elif frame["cls"] == "safety" and frame["type"] == "inv":
            floors[mid] = max(floors.get(mid, -1), frame["inv"]["min_ver"] - 1)
        elif frame["type"] == "price" or frame["cls"] == "reopen":
            floor = max(everywhere, floors.get(mid, -1))
            if body["ver"] <= floor:
                found.append(f"at {now}: {frame['type']} of {mid} with ver {body['ver']}, the floor is {floor}")
    return found


def lost(
    wire: Wire,
    log: Mapping[int, Fact],
    wanted: Callable[[Fact], bool],
    upto: Place,
    *,
    based: tuple[Place, int] | None = None,
    conflates: bool = False,
    floored_at: float = float("-inf"),
    until: float = float("inf"),
    waits_s: float = 0.0,
) -> list[str]:
    """I2: of all that is due before `upto` nothing is missing that is not accounted for.

    Args:
        wire: of a client that has caught up.
        log: everything that was sealed.
        wanted: the client's filter.
        upto: its frontier.
        based: the frontier and the log's head at its last snapshot: what lay before both is in there.
        conflates: whether of prices only the newest of each market counts.
        floored_at: when the last snapshot came: the safety before it is in its floors.
        until: what came onto the bus from then on may be on its way, though it replaces what came before.
        waits_s: for how long before that a price may wait for a newer one.
    """
    got = {cue["o"] for _, _, cue in wire.of("cue")}
    # What it got may lie beyond what it is told to have: there a price waits to be conflated.
    due = [fact for fact in log.values() if fact.due is not None and (fact.due < upto or fact.o in got)]
    floors = final_floors(log.values())
    found = []
    for fact in log.values():
        if fact.o in got or not wanted(fact) or fact.at >= until - waits_s * (fact.type == "price"):
            continue
        if fact.due is None:
            replaced = fact.type == "inv" and any(
                other.type == "inv" and other.mid == fact.mid and other.ver > fact.ver for other in log.values()
            )
            if (based is None or (fact.o > based[1] and fact.at > floored_at)) and not replaced:
                found.append(f"safety {fact.o} is missing")
            continue
        if not fact.due < upto or (based is not None and fact.due < based[0] and fact.o <= based[1]):
            continue
        superseded = any(
            other.id == fact.id and (other.rev, other.o) > (fact.rev, fact.o) and not other.bodiless for other in due
        )
        withheld = (fact.type == "price" or fact.cls == "reopen") and fact.ver <= max(
            floors.get("", -1), floors.get(fact.mid or "", -1)
        )
        conflated = (
            conflates
            and fact.type == "price"
            # Should the newer one be missing itself, it is found for itself.
            and any(
                other.type == "price" and other.mid == fact.mid and (other.ver, other.o) > (fact.ver, fact.o)
                for other in due
            )
        )
        if not (superseded or withheld or conflated):
            found.append(f"{fact.o} ({fact.type} {fact.id} rev {fact.rev}, due {fact.due}) is missing")
    return found


def foreign(wire: Wire, *, event_id: str, hidden: frozenset[str] = frozenset()) -> list[str]:
    """I13: nothing of another showing, nothing of a source that it may not see; safety tells no source's secrets."""
    found = [f"hello of {frame['event_id']}" for _, _, frame in wire.of("hello") if frame["event_id"] != event_id]
    for _, _, cue in wire.of("cue"):
        if cue["cls"] != "safety" and cue["id"].partition(":")[0] in hidden:
            found.append(f"{cue['o']} comes from {cue['id']}")
    return found


def final_floors(facts: Iterable[Fact]) -> dict[str, int]:
    """Return by market ("": all) the highest `ver` at or below which nothing is sent any more."""
    floors: dict[str, int] = {}
    for fact in facts:
        if fact.cls == "safety":
            key = fact.mid or ""
            floors[key] = max(floors.get(key, -1), fact.ver - (fact.type == "inv"))
    return floors
