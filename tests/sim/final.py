"""What must hold in the end: everybody has what is owed to it, and the log says what the vendors said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hub.cursor import read_cursor
from kernel.cues import Op
from kernel.pts import TICKS_PER_S
from tests.sim import sights
from tests.sim.couch import Couch
from tests.sim.course import EVERYWHERE, NOWHERE, vod_upto
from tests.support import invariants

if TYPE_CHECKING:
    from collections.abc import Callable

    from kernel.cues import Entry
    from tests.sim.judge import Judge
    from tests.sim.record import Conn, Record, Seen
    from tests.sim.vendor import Script
    from tests.sim.viewers import Viewer
    from tests.sim.world import World
    from tests.support.invariants import Fact, Place, Wire

PLACING_S = 0.15
"""How much earlier than its picture a fact may be pinned: a frame of 83 ms, and the rounding of dates."""

LISTED_S = 4.5
"""Within which time whoever asks for the list again and again has seen what is open."""


def judge(world: World) -> None:
    """Judge a simulation at its end, when nothing breaks any more."""
    for event_id, record in world.judge.records.items():
        _placed(world, record)
        if not world.was_put_back and world.plan.scripts[event_id].skew_s < 1:
            # With an older copy what was acknowledged since is lost: the epoch has changed for it. By a clock that is
            # far ahead some of it has yet to happen.
            _converged(world.judge, record, world.plan.scripts[event_id], world.vendors[event_id].acknowledged)
        if not world.players[event_id].segments:
            world.judge.fail("video", f"{event_id}: not one segment was had")
        _listed(world, record)
    for viewer in world.viewers.values():
        _served(world, viewer)


def wanted_by(seen: Seen, wish: dict[str, Any]) -> Callable[[Fact], bool]:
    """Return the filter of a wish, as the protocol has it."""

    def wanted(fact: Fact) -> bool:
        if fact.cls == "safety":
            return True
        types, markets = wish.get("types"), wish.get("markets")
        if types is not None and fact.type not in types:
            return False
        if markets is not None and fact.mid is not None and fact.mid not in markets:
            return False
        return fact.id.partition(":")[0] not in seen.hidden

    return wanted


def _served(world: World, viewer: Viewer) -> None:
    """I2, I3, I5, I6, I13, I15, by what came out of the client library."""
    seen, fail = viewer.seen, world.judge.fail
    lost_safety = world.judge.records[seen.event_id].has_lost_safety
    is_live = world.plan.encoders[seen.event_id].is_live
    is_recorded = viewer.session.wish["mode"] == "viewer" and not is_live
    for wire in [*seen.wires, seen.wire]:
        for name, found in (
            ("I3", invariants.repeated(wire)),
            ("I5", invariants.dishonest(wire)),
            # A client ignores what lies below its own floor (PROTOCOL): a crash may have left no trace of that one.
            ("I6", [] if lost_safety else invariants.below_floor(wire)),
            ("I6", _backwards(wire)),
            ("I13", invariants.foreign(wire, event_id=seen.event_id, hidden=seen.hidden)),
        ):
            if found:
                fail(name, f"{viewer.name}: {found[0]}")
    if seen.mismatches and not lost_safety:
        fail("I6", f"{viewer.name} found {seen.mismatches} times that its state was not the server's")
    told = read_cursor(viewer.session.cur or "")
    record = world.judge.records[seen.event_id]
    if told is None:
        fail("I15", f"{viewer.name} has no cursor")
        return
    upto = (told.cursor.upto.timeline, int(told.cursor.upto.pts))
    if is_recorded:
        upto = max(upto, _played(world, viewer))
    # What came within the last second may be on its way.
    until = world.loop.time() - 1.0
    log = {o: fact for o, fact in record.log.facts.items() if o in record.log.told}
    wish = viewer.session.wish
    wants, stands = wanted_by(seen, wish), _stands(world, viewer) if is_recorded else EVERYWHERE
    covered = told.cursor.o
    if wish.get("teams") is None:
        missing = invariants.lost(
            seen.wire,
            log,
            lambda fact: wants(fact) and (fact.o <= covered or fact.due is None or fact.due < stands),
            upto,
            based=seen.based,
            conflates=seen.conflates,
            floored_at=seen.based_at,
            until=until,
            waits_s=wish.get("conflate_ms", 0) / 1000,
        )
        if missing:
            fail("I2", f"{viewer.name} {wish}, at {upto}: {missing[0]}")
    long_ago = world.loop.time() - _slack_s(world, seen, wish)
    was_open = record.open_before(long_ago)
    is_held = _counts_lost(record, told.cursor.o) or (bool(wish.get("conflate_ms")) and _came(record, upto, long_ago))
    if wish["mode"] != "realtime" and not is_recorded and upto < was_open and not is_held:
        fail("I15", f"{viewer.name} stands at {upto}, long ago {was_open} was open")


def _came(record: Record, due: Place, since: float) -> bool:
    """Return whether a price due there has come since then: conflated, a cursor stands there however late it came."""
    return any(fact.due == due and fact.at > since and fact.o in record.log.told for fact in record.log.prices)


def _counts_lost(record: Record, o: int) -> bool:
    """Return whether a cursor counts safety that a crash has taken, and nothing has passed since.

    The hub cannot know whether something of that offset is on its way to it: such a cursor stands until it is passed.
    """
    log = record.log
    is_passed = any(one >= o and log.entries[one].due is not None for one in log.told)
    return o in log.entries and o not in log.told and not is_passed


def _listed(world: World, record: Record) -> None:
    """I15, of the picture: what was open some time ago is listed."""
    was_open = record.open_before(world.loop.time() - LISTED_S)
    timing = max(
        (one for one, _ in record.timings.values() if (one.timeline, one.end) == was_open),
        key=lambda one: one.key,
        default=None,
    )
    if timing is None:
        return
    lists = {"everybody": world.players[record.event_id].newest}
    if not world.judge.answers.dark.is_replaced(timing):
        lists |= {cheat.name: cheat.newest for cheat in world.cheats if cheat.event_id == record.event_id}
    for whose, newest in lists.items():
        if newest < timing.key:
            said = f"the list of {record.event_id} for {whose} ends with {newest}, long ago {timing.key} was open"
            world.judge.fail("I15", said)


def _played(world: World, viewer: Viewer) -> Place:
    """Return up to where somebody must have what belongs to a recording: as far as rate 1 has brought it (I15)."""
    record, conn = world.judge.records[viewer.seen.event_id], _conn(world, viewer)
    if conn is None or record.begun_at is None or isinstance(viewer, Couch):
        return NOWHERE
    since = max(conn.watches_since, record.begun_at)
    return vod_upto(record.course, since, world.loop.time() - 1.0, record.end_x())


def _stands(world: World, viewer: Viewer) -> Place:
    """Return up to where somebody with a player must have of a recording what its cursor does not count.

    An earlier process may have told it a cursor that is further ahead. What was sealed since is due when its player is
    there by what it says in this one: a player that waits for data on the last picture is not at the end.
    """
    record, conn = world.judge.records[viewer.seen.event_id], _conn(world, viewer)
    return sights.stands_at(conn, record) if conn is not None and isinstance(viewer, Couch) else EVERYWHERE


def _conn(world: World, viewer: Viewer) -> Conn | None:
    """Return the connection over which somebody is subscribed."""
    conns = world.judge.conns.values()
    return next((one for one in conns if one.who == viewer.name and one.subscribed is not None), None)


def _slack_s(world: World, seen: Seen, wish: dict[str, Any]) -> float:
    segment_s = world.plan.encoders[seen.event_id].segment_s
    # A cursor stands where a price waits to be conflated.
    waits_s: float = wish.get("conflate_ms", 0) / 1000
    return 4.5 + (8 * segment_s if wish["mode"] == "viewer" else 0) + waits_s


def _backwards(wire: Wire) -> list[str]:
    """I6: of one fact nothing older is shown after something newer, and what was retracted stays so.

    Who is not resumed is told so, and begins anew from a snapshot. Who is, and stands further back than it was, is sent
    again what lies between; what it knows from a snapshot only may be shown once more.
    """
    last: dict[str, tuple[int, str]] = {}
    found = []
    for frame in wire.shown:
        if frame["op"] == "sub" and not frame["resumed"]:
            last.clear()
        if frame["op"] != "cue" or frame["cls"] == "safety" or ":~" in frame["id"]:
            continue  # names of our own bear a market's states, which `ver` orders
        known = last.get(frame["id"])
        if known is not None and (frame["rev"] <= known[0] or known[1] == Op.RETRACT):
            found.append(f"{frame['id']} rev {frame['rev']} ({frame['kind']}) came after {known}")
        last[frame["id"]] = (frame["rev"], frame["kind"])
    return found


def _converged(judge: Judge, record: Record, script: Script, acknowledged: set[int]) -> None:
    """I6, and what a 2xx promises: the log ends where the vendor does."""
    said: dict[str, list[dict[str, Any]]] = {}
    for word in script.words:
        for item in word.items:
            if item["type"] != "alive" and word.number in acknowledged:
                said.setdefault(f"{record.event_id}-{word.source}:{item['id']}", []).append(item)
    for id_, truth in script.truth.items():
        full = f"{record.event_id}-{id_}"
        revs = {item["rev"] for item in said.get(full, ())}
        if len(revs) != truth.rev:
            continue  # not all of it has been taken in
        versions = [record.log.entries[fact.o] for fact in record.log.versions.get(full, ())]
        if not versions:
            if truth.op != "retract":
                judge.fail("I6", f"{full} was acknowledged and is not in the log")
            continue
        newest = max(versions, key=lambda entry: (entry.cue.rev, entry.o))
        if (newest.cue.op is Op.RETRACT) is not (truth.op == "retract"):
            judge.fail("I6", f"{full} ends as {newest.cue}, the vendor said {truth}")
        elif truth.op != "retract" and _body(versions) != truth.body:
            judge.fail("I6", f"{full} ends as {_body(versions)}, the vendor said {truth}")


def _body(versions: list[Entry]) -> dict[str, Any]:
    told = [entry for entry in versions if entry.cue.op in (Op.NEW, Op.AMEND)]
    return dict(max(told, key=lambda entry: (entry.cue.rev, entry.o)).cue.body) if told else {}


def _placed(world: World, record: Record) -> None:
    """I16, I1: nothing is due before the picture that shows it, by what the encoder and the vendor know."""
    encoder, script = world.plan.encoders[record.event_id], world.plan.scripts[record.event_id]
    if not encoder.dated or encoder.date_jitter_s or script.skew_s:
        return
    spans = [
        (timing.timeline, timing.start, timing.end, world.origin.by_uri[timing.uri].wall)
        for timing, _ in record.timings.values()
    ]
    for log in record.logs.values():
        for entry in log.entries.values():
            occurred = script.occurred.get(entry.cue.id.removeprefix(f"{record.event_id}-"))
            due = entry.due
            if occurred is None or due is None:
                continue
            for timeline, start, end, wall in spans:
                if timeline == due.timeline and start <= due.pts < end:
                    shown = wall + (due.pts - start) / TICKS_PER_S
                    if shown < occurred - PLACING_S:
                        world.judge.fail("I16", f"{entry.cue.id} of {occurred} is due with the picture of {shown}")
