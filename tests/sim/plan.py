"""From a seed to a plan: what the encoders do, what the vendors say, who watches, and what breaks when."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from kernel.pts import TICKS_PER_S, WRAP
from kernel.showings import Showing, Source
from tests.sim.couch import MANNERS
from tests.sim.dark import HOME_INSIDE, HOME_OUTSIDE
from tests.sim.origin import EncoderPlan
from tests.sim.vendor import INTERVAL_S, Script, write, write_afterwards

if TYPE_CHECKING:
    import random

    from hub.subscriber import Format

T0 = 1_800_000_000.0
"""Wall time when a simulation begins."""

GAME_S = 12.0
"""For how long things happen and break."""

WISHES: tuple[dict[str, Any], ...] = (
    {"mode": "edge"},
    {"mode": "viewer"},
    {"mode": "realtime"},
    {"mode": "edge", "types": ["score", "play"]},
    {"mode": "viewer", "markets": ["m1"]},
    {"mode": "edge", "conflate_ms": 250},
    {"mode": "viewer", "conflate_ms": 2_000},
    {"mode": "edge", "teams": ["a"], "heartbeat_ms": 500},
)


@dataclass(frozen=True)
class Subscription:
    """Who subscribes, to what, how, and when it comes; with a player of that manner, if it has one."""

    name: str
    event_id: str
    wish: dict[str, Any]
    format: Format
    healthy: bool
    comes_at: float
    manner: str | None = None
    bytes_per_s: float | None = None


@dataclass(frozen=True)
class Trouble:
    """Something that breaks: when (seconds from the start), what, for whom, and for how long."""

    at: float
    what: str
    whom: str = ""
    lasts_s: float = 0.0


@dataclass(frozen=True)
class Darkness:
    """A blackout of those inside: when it is made (seconds from the start), for what, and when it is ended.

    `starts_in_s` and `ends_in_s` bound the pictures that are dark, by the time of day from when it is made; None:
    nothing does. `redirect` is the showing in its place.
    """

    at: float
    event_id: str
    lasts_s: float
    starts_in_s: float | None = None
    ends_in_s: float | None = None
    redirect: str | None = None


@dataclass(frozen=True)
class Cheating:
    """Who asks for what is dark to it, of which showing, from when on, and how fast it reads."""

    name: str
    event_id: str
    comes_at: float
    bytes_per_s: float | None


@dataclass(frozen=True)
class Ban:
    """What becomes of somebody that is sent away for a flood: what is revoked, how soon, and for how long."""

    kind: str
    after_s: float
    lasts_s: float


@dataclass
class Plan:
    """Everything that a seed decides before anything happens."""

    hesitation: float
    lateness: float
    breaks: bool
    trouble: float
    disk_s: float
    lags_s: float
    stale: tuple[float, float] = (0.0, 0.0)
    """How old lists are to everybody, in seconds, and until when (seconds from the start)."""
    dropouts: list[tuple[float, float]] = field(default_factory=list)
    """From when until when (seconds from the start) what encoders upload is lost."""
    hub: dict[str, Any] = field(default_factory=dict)
    showings: dict[str, Showing] = field(default_factory=dict)
    encoders: dict[str, EncoderPlan] = field(default_factory=dict)
    scripts: dict[str, Script] = field(default_factory=dict)
    subscriptions: list[Subscription] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    blackouts: list[Darkness] = field(default_factory=list)
    cheats: list[Cheating] = field(default_factory=list)
    bans: dict[str, Ban] = field(default_factory=dict)
    inside: frozenset[str] = frozenset()
    """The names of those who are at home inside of the blackouts."""

    def home_of(self, name: str) -> str | None:
        """Return where somebody is at home, None in an evening without blackouts."""
        if not self.blackouts:
            return None
        return HOME_INSIDE if name in self.inside else HOME_OUTSIDE


def make_plan(dice: random.Random, origins: random.Random, mischief: random.Random) -> Plan:
    """Draw a plan; what origins are like, and who means harm or has bad luck, have dice of their own."""
    plan = Plan(
        hesitation=dice.choice([0.0, 0.05, 0.25]),
        lateness=dice.choice([0.0, 0.2, 0.8]),
        breaks=dice.random() < 0.5,
        trouble=dice.choice([0.0, 0.0, 0.1, 0.25]),
        disk_s=dice.choice([0.003, 0.003, 0.03, 0.1]),
        lags_s=dice.choice([0.0, 0.0, 0.0, dice.uniform(1.0, 8.0)]),
    )
    if dice.random() < 0.3:
        # So small that ordinary deliveries take the ways of the extraordinary ones.
        plan.hub = {"burst_bytes": 4_096, "piece_bytes": 1_024, "turn_bytes": 4_096, "send_buffer_bytes": 2_048}
    _add_showing(plan, dice, "game")
    if dice.random() < 0.15:
        _add_showing(plan, dice, "other")
    if dice.random() < 0.2:
        _add_recording(plan, dice, "film")
    _add_viewers(plan, dice)
    _add_couches(plan, dice)
    _add_troubles(plan, dice)
    _add_revocations(plan, dice)
    plan.troubles.sort(key=lambda one: one.at)
    if dice.random() < 0.25:
        _add_blackouts(plan, dice)
    _vary_origins(plan, origins)
    if plan.blackouts:
        _add_cheats(plan, mischief)
        if mischief.random() < 0.5:
            _drop_edge(plan, mischief)
    if mischief.random() < 0.3:
        _add_bots(plan, mischief)
    _add_calamity(plan, mischief)
    plan.troubles.sort(key=lambda one: one.at)
    return plan


def _vary_origins(plan: Plan, dice: random.Random) -> None:
    """Let live lists be short or bear no dates, a cache be stale for a while, and an origin lose what it was sent."""
    for event_id, encoder in plan.encoders.items():
        if encoder.is_live:
            n_listed, dated = dice.choice([8, 8, 5, 4, 3]), encoder.dated and dice.random() < 0.7
            plan.encoders[event_id] = replace(encoder, n_listed=n_listed, dated=dated)
    if dice.random() < 0.4:
        plan.stale = dice.uniform(2.0, 6.0), dice.uniform(2.0, GAME_S)
    if dice.random() < 0.35:
        begins = [dice.uniform(1.0, GAME_S) for _ in range(dice.choice([1, 2, 3]))]
        plan.dropouts = [(at, at + dice.uniform(1.0, 4.0)) for at in begins]
    plan.troubles = [
        replace(one, what="outage") if one.what == "dark" and dice.random() < 0.6 else one for one in plan.troubles
    ]


def _add_showing(plan: Plan, dice: random.Random, event_id: str) -> None:
    segment_s = dice.choice([1, 2, 2])
    hold_s, auto = dice.choice([(0.0, False), (0.0, False), (1.5, False), (4.0, True)])
    plan.showings[event_id] = Showing(
        event_id,
        f"http://origin/{event_id}/index.m3u8",
        (
            Source(f"{event_id}-stats", "lockstep", interval_s=INTERVAL_S),
            Source(f"{event_id}-odds", "lockstep", interval_s=INTERVAL_S, binds=dice.choice(["all", "own"])),
            Source(f"{event_id}-quant", "lockstep", audience="trading"),
        ),
        hold_s=hold_s,
        auto_hold=auto,
        max_hold_s=dice.choice([6.0, 15.0]),
        due_sigma=dice.choice([0.0, 1.0]),
        suspend_scope=dice.choice(["event", "market"]),
        price_invalidation=dice.random() < 0.4,
    )
    begins = T0 - 6 * segment_s
    restarts = sorted(dice.uniform(T0 + 2, T0 + GAME_S) for _ in range(dice.choice([0, 0, 1, 2])))
    near = WRAP - dice.randrange(1, 14 * segment_s) * TICKS_PER_S + dice.randrange(TICKS_PER_S)
    plan.encoders[event_id] = EncoderPlan(
        begins,
        T0 + GAME_S + 90,
        segment_s=segment_s,
        base=near if dice.random() < 0.5 else dice.randrange(WRAP),
        latency_s=dice.uniform(0.3, 2.0),
        date_jitter_s=dice.choice([0.0, 0.0, 0.015]),
        dated=dice.random() < 0.85,
        restarts=[(at, dice.random() < 0.5, dice.random() < 0.3) for at in restarts],
        late=dice.choice([0.0, 0.0, 0.1]),
        broken=dice.choice([0.0, 0.0, 0.04]),
        body_bytes=dice.choice([1_128, 1_128, 1_128, 1_128, 600_000]),
    )
    plan.scripts[event_id] = write(
        dice,
        T0 - 1,
        T0 + GAME_S - 3,
        lag_s=dice.choice([0.3, 1.0, 2.5]),
        skew_s=dice.choice([0.0, 0.0, 0.0, 0.4, -0.4, 10.0]),
        quiet=dice.random() < 0.35,
    )


def _add_recording(plan: Plan, dice: random.Random, event_id: str) -> None:
    """Add a game of yesterday: a complete list, and a vendor who tells what happened in it."""
    segment_s, n_segments = dice.choice([1, 2]), dice.randrange(4, 9)
    begins = T0 - 86_400
    plan.showings[event_id] = Showing(
        event_id,
        f"http://origin/{event_id}/index.m3u8",
        (
            Source(f"{event_id}-stats", "lockstep", interval_s=INTERVAL_S),
            Source(f"{event_id}-odds", "lockstep"),
            Source(f"{event_id}-quant", "lockstep", audience="trading"),
        ),
        due_sigma=dice.choice([0.0, 1.0]),
    )
    ends = begins + segment_s * n_segments
    restarts = [dice.uniform(begins + segment_s, ends)] if dice.random() < 0.4 else []
    plan.encoders[event_id] = EncoderPlan(
        begins,
        ends,
        segment_s=segment_s,
        base=dice.randrange(WRAP),
        restarts=[(at, True, False) for at in restarts],
        has_end=True,
        is_live=False,
        body_bytes=dice.choice([1_128, 1_128, 600_000]),
    )
    plan.scripts[event_id] = write_afterwards(dice, begins, ends, told_from=T0 - 1, told_until=T0 + GAME_S / 2)


def _add_viewers(plan: Plan, dice: random.Random) -> None:
    plan.subscriptions.append(Subscription("steady", "game", {"mode": "edge"}, "json", healthy=True, comes_at=0.5))
    for number in range(dice.randrange(18, 36)):
        event_id = dice.choice(list(plan.showings))
        wish = dict(dice.choice(WISHES))
        format_: Format = dice.choice(["json", "msgpack"])
        plan.subscriptions.append(
            Subscription(f"v{number}", event_id, wish, format_, healthy=False, comes_at=dice.uniform(0, GAME_S / 2))
        )


def _add_couches(plan: Plan, dice: random.Random) -> None:
    """Let viewers come that have a player, and say where it is."""
    for number in range(dice.randrange(1, 4)):
        event_id = dice.choice(list(plan.showings))
        wish: dict[str, Any] = {"mode": "viewer", "lead_ms": dice.choice([0, 250, 1_000])}
        if dice.random() < 0.3:
            wish["types"] = ["score", "play"]
        format_: Format = dice.choice(["json", "msgpack"])
        comes_at = dice.uniform(0, GAME_S / 2)
        manner = dice.choice(MANNERS)
        slow = dice.choice([None, None, 300_000.0])
        plan.subscriptions.append(
            Subscription(f"c{number}", event_id, wish, format_, False, comes_at, manner, bytes_per_s=slow)
        )


def _add_revocations(plan: Plan, dice: random.Random) -> None:
    """Let an operator take grants back, and give them again."""
    for one in plan.subscriptions:
        if not one.healthy and dice.random() < (0.4 if one.manner else 0.08):
            kind = dice.choice(["token", "account", "session"])
            at = dice.uniform(one.comes_at + 0.5, GAME_S - 1)
            plan.troubles.append(Trouble(at, f"revoke {kind}", one.name, dice.uniform(0.2, 4.0)))
    if dice.random() < 0.06:
        event_id = dice.choice(list(plan.showings))
        plan.troubles.append(Trouble(dice.uniform(2, GAME_S - 2), "revoke event", event_id, dice.uniform(0.2, 2.0)))


def _add_blackouts(plan: Plan, dice: random.Random) -> None:
    """Black out a live showing for some of its viewers: at once or for a time, with nothing or another in its place."""
    live = [event_id for event_id in plan.showings if plan.encoders[event_id].is_live]
    event_id = dice.choice(live)
    others = [one for one in live if one != event_id]
    if not others and dice.random() < 0.5:
        _add_showing(plan, dice, "other")
        others = ["other"]
    for _ in range(dice.choice([1, 1, 2])):
        starts_in_s = dice.choice([None, dice.uniform(-4.0, 4.0)])
        ends_in_s = dice.choice([None, (starts_in_s or 0.0) + dice.uniform(4.0, 8.0)])
        redirect = others[0] if others and dice.random() < 0.7 else None
        at, lasts_s = dice.uniform(1.0, GAME_S - 4), dice.uniform(1.0, 8.0)
        plan.blackouts.append(Darkness(at, event_id, lasts_s, starts_in_s, ends_in_s, redirect))
    viewers = [one for one in plan.subscriptions if one.event_id == event_id and one.wish["mode"] == "viewer"]
    plan.inside = frozenset(one.name for one in viewers if dice.random() < 0.6)


def _add_cheats(plan: Plan, dice: random.Random) -> None:
    """Let people come who live inside, and know what segments are called."""
    event_id, begins = plan.blackouts[0].event_id, min(one.at for one in plan.blackouts)
    for number in range(dice.choice([1, 1, 2])):
        comes_at = max(0.0, begins - dice.uniform(0.2, 2.0))
        cheat = Cheating(f"cheat{number}", event_id, comes_at, dice.choice([None, 300_000.0]))
        plan.cheats.append(cheat)
        plan.inside |= {cheat.name}


def _add_calamity(plan: Plan, dice: random.Random) -> None:
    """Let two things go wrong at once, in half of the games, that seldom do."""
    kind, known = dice.random(), {one.what for one in plan.troubles}
    if kind < 0.15:
        _crash_on_the_news(plan, dice)
    elif kind < 0.25 and not known & {"full", "copy", "put back"}:
        _fill_by_backup(plan, dice)
    elif kind < 0.4 and not known & {"copy", "put back"}:
        _fill_at_restart(plan, dice)
    elif kind < 0.5:
        _begin_twice(plan, dice)
    elif kind < 0.58 and not known & {"copy", "put back"}:
        _fall_after_a_full_disk(plan, dice)


def _fall_after_a_full_disk(plan: Plan, dice: random.Random) -> None:
    """Let a full disk have room again, and the server fall when all that was refused should be on it."""
    at, lasts_s = dice.uniform(1.5, 4.0), dice.uniform(1.5, 3.0)
    plan.troubles.append(Trouble(at, "full", lasts_s=lasts_s))
    plan.troubles.append(Trouble(at + lasts_s + dice.uniform(3.2, 5.0), "kill", lasts_s=0.5))


def _crash_on_the_news(plan: Plan, dice: random.Random) -> None:
    """Cut the venue off: no picture comes and nothing is told. What was missed is told at once, and the server falls.

    Players have seen everything by then; those of the next process stand further back.
    """
    begins = dice.uniform(2.5, 4.0)
    back = begins + dice.uniform(3.5, 5.0)
    plan.scripts["game"] = write(
        dice, T0 - 8, T0 + GAME_S - 3, lag_s=0.3, skew_s=0.0, silence=(T0 - 8, T0 + back), corrected=0.7
    )  # fmt: skip
    plan.troubles = [one for one in plan.troubles if one.what not in ("kill", "power", "drain", "dark", "outage")]
    plan.encoders["game"] = replace(plan.encoders["game"], stuck=(T0 + begins, T0 + back + 6))
    plan.troubles.append(Trouble(back + dice.uniform(0.15, 0.6), "kill", lasts_s=dice.uniform(0.1, 1.0)))


def _fill_by_backup(plan: Plan, dice: random.Random) -> None:
    """Stop the server for a backup that fills the disk; with a larger disk the backup is put back."""
    at = dice.uniform(2.0, 6.0)
    # On a full disk no process starts: nothing else ends this one.
    plan.troubles = [one for one in plan.troubles if one.what not in ("kill", "power", "drain")]
    plan.troubles.append(Trouble(at, "back up", lasts_s=dice.uniform(0.1, 1.0)))
    plan.troubles.append(Trouble(at + dice.uniform(3.0, 5.0), "put back", lasts_s=dice.uniform(0.1, 1.0)))


def _fill_at_restart(plan: Plan, dice: random.Random) -> None:
    """Let the encoder begin anew while the disk is full, and once more, from number 0, while the server is away."""
    at, encoder = dice.uniform(1.5, 3.0), plan.encoders["game"]
    falls = at + dice.uniform(2.0, 3.0) * encoder.segment_s + 2.0
    restarts = [(T0 + at, dice.random() < 0.5, False), (T0 + falls - 1.0, False, True)]
    plan.encoders["game"] = replace(encoder, restarts=restarts, latency_s=0.3, n_listed=3)
    plan.troubles = [one for one in plan.troubles if one.what not in ("kill", "power", "drain", "full")]
    plan.troubles.append(Trouble(at, "full", lasts_s=falls + 1.0 - at))
    plan.troubles.append(Trouble(falls, "kill", lasts_s=dice.uniform(3.0, 6.0)))


def _begin_twice(plan: Plan, dice: random.Random) -> None:
    """Let an encoder start from number 0 just before we come, and once more while the server is away."""
    encoder = plan.encoders["game"]
    falls = dice.uniform(1.5, 3.0)
    plan.encoders["game"] = replace(
        encoder, begins=T0 - 2 * encoder.segment_s, first_msn=0, latency_s=0.3, restarts=[(T0 + falls, False, True)]
    )
    plan.troubles.append(Trouble(falls, "kill", lasts_s=dice.uniform(4.0, 8.0)))


def _drop_edge(plan: Plan, dice: random.Random) -> None:
    """Let the server be away when another showing takes over, until a short list names that segment no more."""
    one = plan.blackouts[0]
    if one.redirect is None:
        others = [name for name, encoder in plan.encoders.items() if encoder.is_live and name != one.event_id]
        other = others[0] if others else "other"
        if not others:
            _add_showing(plan, dice, other)
        one = plan.blackouts[0] = replace(one, redirect=other)
    plan.encoders[one.event_id] = replace(plan.encoders[one.event_id], n_listed=3)
    at = one.at + dice.uniform(0.1, 1.5)
    plan.troubles.append(Trouble(at, dice.choice(["kill", "power"]), lasts_s=dice.uniform(3.0, 8.0)))


def _add_bots(plan: Plan, dice: random.Random) -> None:
    """Let some flood the server and hardly read, while an operator revokes whoever is sent away for that."""
    names = [one.name for one in plan.subscriptions if not one.healthy and one.manner is None]
    for name in dice.sample(names, min(len(names), 5)):
        at = dice.uniform(2.0, GAME_S - 2)
        plan.troubles.append(Trouble(at - 1.5, "slow", name, dice.uniform(0.3, 5.0)))
        plan.troubles.append(Trouble(at, "flood", name))
        kind = dice.choice(["token", "account", "session"])
        plan.bans[name] = Ban(kind, dice.uniform(0.02, 0.5), dice.uniform(0.5, 4.0))


def _add_troubles(plan: Plan, dice: random.Random) -> None:
    names = [one.name for one in plan.subscriptions if not one.healthy]
    vendors = [f"vendor-{event_id}" for event_id in plan.showings]
    kinds = ["reset", "reset", "doom", "stall", "slow", "slice", "freeze", "pace", "update", "update", "flood"]
    for name in names:
        for _ in range(dice.randrange(0, 4)):
            at = dice.uniform(1.0, GAME_S)
            plan.troubles.append(Trouble(at, dice.choice(kinds), name, dice.uniform(0.3, 5.0)))
    for name in vendors:
        if dice.random() < 0.5:
            kind = dice.choice(["reset", "stall", "slice"])
            plan.troubles.append(Trouble(dice.uniform(1, GAME_S), kind, name, dice.uniform(0.3, 3.0)))
    if dice.random() < 0.3:
        plan.troubles.append(Trouble(dice.uniform(2, GAME_S - 5), "dark", lasts_s=dice.uniform(1.0, 8.0)))
    if dice.random() < 0.3:
        plan.troubles.append(Trouble(dice.uniform(2, GAME_S), "jump", lasts_s=dice.uniform(0.05, 1.5)))
    if dice.random() < 0.2:
        plan.troubles.append(Trouble(dice.uniform(2, GAME_S - 5), "full", lasts_s=dice.uniform(0.5, 4.0)))
    at = dice.uniform(2.0, GAME_S - 2)
    for _ in range(dice.choice([0, 1, 1, 2])):
        kind = dice.choice(["kill", "kill", "kill", "power", "drain"])
        plan.troubles.append(Trouble(at, kind, lasts_s=dice.uniform(0.1, 4.0)))
        at += dice.uniform(2.0, 8.0)
    if dice.random() < 0.12:
        plan.troubles.append(Trouble(dice.uniform(3.0, GAME_S / 2), "copy"))
        plan.troubles.append(Trouble(dice.uniform(GAME_S / 2, GAME_S), "put back", lasts_s=dice.uniform(0.1, 2.0)))
    # A copy that is made of a full disk's file, and put back, has a hole that no disk leaves.
    if any(one.what == "full" for one in plan.troubles):
        plan.troubles = [one for one in plan.troubles if one.what not in ("copy", "put back")]
