"""Blackouts: which there are, who is inside of which, and whether that ends what somebody is doing.

Somebody is inside a zone if its condition holds for the place of their address, or for the fix of their device, or if
neither is known well enough to say no. A network whose class the blackout's `vpn_policy` blocks hides its user, so its
users are inside, and blocked.

Of several that apply the highest precedence comes first, then block before redirect, then the later made.

An answer is kept for as long as nothing that it came from can have changed. Nothing is asked of servers and trading
desks (`PERSONS`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from kernel.blackouts import BlackoutRecord, Veil, Window, ZoneSet
from kernel.errors import DecodeError
from kernel.tokens import Claims, Reason
from relay.blackout_text import BlackoutTerms, BlackoutZone, read_blackout
from relay.fixes import FixBook
from relay.place.conditions import Ground, Position
from relay.place.model import ClassAction, Fix, IpPlace, NetworkClass, known_place
from relay.whereabouts import Locates

KEEP_S = 30.0
"""How long an answer is kept at most, in seconds."""

MAX_SESSIONS = 65_536
"""As many as tokens are remembered; beyond it all are asked anew."""

MAX_FIX_AGE_S = 1_200.0
"""For how long a device that was inside counts as inside, in seconds; it is asked for its place at least as often."""


class Concern(NamedTuple):
    """What blackouts have to do with somebody.

    Args:
        zones: those that apply.
        warning: what is let through and said nevertheless.
        at_once: whether one of them has no beginning: only then it may refuse somebody altogether.
    """

    zones: ZoneSet = ()
    warning: Reason | None = None
    at_once: bool = False


NONE = Concern()


class Blackout:
    """One blackout, compiled; it never changes.

    Args:
        record: where it came from.
        terms: what it says; None: it is not understood, and then it is dark for everybody, at once.
    """

    def __init__(self, record: BlackoutRecord, terms: BlackoutTerms | None) -> None:
        self.record = record
        self.terms = terms
        self.precedence = 0 if terms is None else terms.precedence
        self.window = Window() if terms is None else terms.window
        zones = () if terms is None else terms.zones
        self.redirects = frozenset(zone.redirect for zone in zones if zone.redirect is not None)
        self._blocked = Veil(record.blackout_id, self.window, None, record.made)
        self._ground = Ground(list(terms.polygons), {}) if terms is not None else Ground([], {})

    def veil(self, place: IpPlace, fix: Fix | None, home: IpPlace) -> Veil | None:
        """Return how it applies to somebody, None if they are outside.

        Args:
            place: what is known of the address.
            fix: what the device says of its position, if that counts.
            home: what is known of the account's home.
        """
        if self.terms is None or self._action_on(place) is ClassAction.BLOCK:
            return self._blocked
        present, at_home = self._positions(place, fix, home)
        found = None
        for zone in self.terms.zones:
            whose, positions = (home, at_home) if zone.home else (place, present)
            if any(zone.where.holds(whose, position) is not False for position in positions):
                if zone.redirect is None:
                    return self._blocked
                found = found or self._blocked._replace(redirect=zone.redirect)
        return found

    def judged(self, place: IpPlace, fix: Fix | None, home: IpPlace) -> list[tuple[BlackoutZone, bool | None]]:
        """Return each zone, and whether somebody is known to be inside; None: that is not known, and counts as inside.

        Arguments are those of `veil`. Of a blackout that is not understood there are none.
        """
        judged: list[tuple[BlackoutZone, bool | None]] = []
        present, at_home = self._positions(place, fix, home)
        for zone in self.terms.zones if self.terms is not None else ():
            whose, positions = (home, at_home) if zone.home else (place, present)
            held = [zone.where.holds(whose, position) for position in positions]
            judged.append((zone, True if True in held else None if None in held else False))
        return judged

    def hides(self, place: IpPlace) -> bool:
        """Return whether somebody is inside because their network hides where they are."""
        return self.terms is not None and self._action_on(place) is ClassAction.BLOCK

    def _positions(self, place: IpPlace, fix: Fix | None, home: IpPlace) -> tuple[list[Position], list[Position]]:
        present = [Position(self._ground, place, place.point, place.accuracy_m)]
        if fix is not None:
            present.append(Position(self._ground, place, fix.point, fix.accuracy_m))
        return present, [Position(self._ground, home, None, None)]

    def warning(self, place: IpPlace) -> Reason | None:
        """Return of which class of networks it warns."""
        if self.terms is None:
            return None
        warned = (one for one in NetworkClass if self.terms.actions.get(one) is ClassAction.WARN)
        return next((Reason(one.value) for one in warned if one in place.classes), None)

    def _action_on(self, place: IpPlace) -> ClassAction:
        assert self.terms is not None  # asked of what was understood
        actions = {self.terms.actions.get(one, ClassAction.ALLOW) for one in place.classes}
        return ClassAction.BLOCK if ClassAction.BLOCK in actions else ClassAction.ALLOW


def compiled(record: BlackoutRecord) -> tuple[Blackout, str | None]:
    """Return what a record says, and why it is not understood, None if it is. Its text is there.

    It takes some 20 ms for the largest.
    """
    assert record.text is not None
    try:
        return Blackout(record, read_blackout(record.text)), None
    except DecodeError as error:
        # A newer Lockstep wrote it. Whom it concerns is not known: so it is everybody.
        return Blackout(record, None), str(error)


class BlackoutIndex:
    """Know the blackouts, kept by what the bus says. What is heard of is in force once it has been compiled.

    `revision` rises whenever `of` could answer otherwise than before.
    """

    def __init__(self) -> None:
        self.revision = 0
        self._waiting: dict[str, BlackoutRecord] = {}
        self._known: dict[str, Blackout] = {}
        self._by_event: dict[str, tuple[Blackout, ...]] = {}
        self._listeners: list[Callable[[], None]] = []

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._known)

    def listen(self, changed: Callable[[], None]) -> None:
        """Have `changed` called after each change."""
        self._listeners.append(changed)

    def of(self, event_id: str) -> tuple[Blackout, ...]:
        """Return those of a showing, in the order in which they were heard of."""
        return self._by_event.get(event_id, ())

    def windows(self, event_id: str) -> dict[str, Window]:
        """Return when each of a showing's blackouts is in force, by id."""
        return {one.record.blackout_id: one.window for one in self.of(event_id)}

    def redirects(self, event_id: str) -> frozenset[str]:
        """Return the event ids of all showings that a showing's blackouts lead to."""
        return frozenset().union(*(one.redirects for one in self.of(event_id)))

    def hear(self, record: BlackoutRecord) -> bool:
        """Take note of what the bus says; return whether it is to be compiled. Until then what was before holds."""
        name, known = record.blackout_id, self._known.get(record.blackout_id)
        if record.text is None:
            self._waiting.pop(name, None)
            if self._known.pop(name, None) is not None:
                self._arrange(record.event_id)
            return False
        newest = self._waiting.get(name) or (known.record if known is not None else None)
        if newest is not None and newest.text == record.text:
            return False
        self._waiting[name] = record
        return True

    def waiting(self) -> list[BlackoutRecord]:
        """Return what is to be compiled, in the order in which it was heard of first."""
        return list(self._waiting.values())

    def install(self, record: BlackoutRecord, blackout: Blackout) -> None:
        """Put what a record was compiled to in force, unless something newer has been heard of meanwhile."""
        if self._waiting.get(record.blackout_id) is record:
            del self._waiting[record.blackout_id]
            self._known[record.blackout_id] = blackout
            self._arrange(record.event_id)

    def heard(self, record: BlackoutRecord) -> str | None:
        """Take note of what the bus says, compiled at once; return why it is not understood, None if it is."""
        if not self.hear(record):
            return None
        blackout, why = compiled(record)
        self.install(record, blackout)
        return why

    def broken(self) -> list[str]:
        """Return the names of those that are not understood."""
        return [name for name, one in self._known.items() if one.terms is None]

    def _arrange(self, event_id: str) -> None:
        found = tuple(one for one in self._known.values() if one.record.event_id == event_id)
        self._by_event.pop(event_id, None)
        if found:
            self._by_event[event_id] = found
        self.revision += 1
        for changed in self._listeners:
            changed()


class _Kept(NamedTuple):
    address: str
    event_id: str
    home: str | None
    fix: Fix | None
    revision: int
    version: str
    until: float
    place: IpPlace
    concern: Concern


class Blackouts:
    """Ask blackouts about sessions.

    Args:
        locator: knows where addresses are.
        index: the blackouts.
        fixes: what devices have said.
    """

    def __init__(self, locator: Locates, index: BlackoutIndex, fixes: FixBook) -> None:
        self._locator = locator
        self._index = index
        self._fixes = fixes
        self._kept: dict[str, _Kept] = {}
        # Equal sets are one object: whoever keeps something by them compares in no time.
        self._sets: dict[Concern, Concern] = {}

    def concern(self, claims: Claims, address: str, *, now: float) -> Concern:
        """Return what blackouts have to do with the bearer of `claims` at `address`, whenever they are.

        `now` is Unix time in seconds.
        """
        blackouts = self._index.of(claims.event_id)
        if not blackouts:
            return NONE
        key = claims.session or claims.jti
        fix, _ = self._fixes.of(key)
        kept = self._kept.get(key)
        if (
            kept is not None
            and kept.address == address
            and now < kept.until
            and kept.revision == self._index.revision
            and kept.version is self._locator.version
            and kept.fix is fix
            and kept.event_id == claims.event_id
            and kept.home == claims.home
        ):
            return kept.concern
        # Before it is asked: what changes meanwhile is asked about again.
        revision, version = self._index.revision, self._locator.version
        if kept is not None and kept.address == address and kept.version is version:
            place = kept.place
        else:
            place = self._locator.locate(address)
        concern = self._asked(blackouts, claims, place, fix, now)
        if kept is None and len(self._kept) >= MAX_SESSIONS:
            self._kept.clear()
            self._sets.clear()
        self._kept[key] = _Kept(
            address, claims.event_id, claims.home, fix, revision, version, now + KEEP_S, place, concern
        )  # fmt: skip
        return concern

    def _asked(
        self, blackouts: tuple[Blackout, ...], claims: Claims, place: IpPlace, fix: Fix | None, now: float
    ) -> Concern:
        home = home_of(claims.home)
        if not place.is_public:
            # Whatever somebody says of it: such an address is nowhere.
            place = IpPlace(place.address, classes=place.classes, is_public=False)
        if fix is not None and fix.at < now - MAX_FIX_AGE_S:
            fix = None
        found = applying(blackouts, place, fix, home)
        open_ = [one for one in blackouts if one.window.end is None or now < one.window.end]
        warning = next((said for one in open_ if (said := one.warning(place)) is not None), None)
        zones = tuple([veil for _, veil in found])
        concern = Concern(zones, warning, any(veil.window.at_once for veil in zones))
        return self._sets.setdefault(concern, concern)


def applying(
    blackouts: Iterable[Blackout], place: IpPlace, fix: Fix | None, home: IpPlace
) -> list[tuple[Blackout, Veil]]:  # fmt: skip
    """Return which blackouts apply to somebody and how, whenever they are; the one that comes first is the first.

    Arguments are those of `Blackout.veil`.
    """
    found = [(one, veil) for one in blackouts if (veil := one.veil(place, fix, home)) is not None]
    found.sort(key=lambda pair: (-pair[0].precedence, pair[1].redirect is not None, -pair[1].made, pair[1][0]))
    return found


def home_of(home: str | None) -> IpPlace:
    """Return what a token's claim says of where the account is at home, `US-90012`; nothing, if it is none."""
    country, _, postcode = (home or "").partition("-")
    postcode = postcode.upper().replace(" ", "")
    if len(country) != 2 or not (country.isascii() and country.isalpha() and country.isupper()) or not postcode:
        return IpPlace("")
    return known_place("", country=country, postcode=postcode)


def is_in_force(window: Window, now: float) -> bool:
    """Return whether a window is open, by the time of day. `now` is in Unix seconds.

    Of one by media time nobody can say that who has no media.
    """
    if window.start_media is not None or window.end_media is not None:
        return False
    return (window.start is None or window.start <= now) and (window.end is None or now < window.end)


def veil_in_force(zones: ZoneSet, now: float) -> Veil | None:
    """Return what lies over a showing now, by the time of day; None if nothing. `now` is in Unix seconds."""
    return next((veil for veil in zones if is_in_force(veil.window, now)), None)


def refuses(zones: ZoneSet, now: float) -> bool:
    """Return whether somebody is to be refused altogether at `now`, in Unix seconds.

    That is so for a block without a beginning: whatever they ask for is dark. Where there is a beginning, what lies
    before it may still be had: segments and cues are judged one by one.
    """
    for veil in zones:
        if veil.window.at_once and is_in_force(veil.window, now):
            return veil.redirect is None
    return False
