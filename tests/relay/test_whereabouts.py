"""Policies asked about sessions, and what is remembered of their answers."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from kernel.policies import PolicyRecord
from kernel.tokens import Reason
from relay import whereabouts
from relay.fixes import FixBook
from relay.place.model import ClassAction, Fix, IpPlace, PlaceVerdict, Point, known_place
from relay.policies import PolicyIndex, PolicyInForce
from relay.sessions.policies import SessionPolicies
from relay.whereabouts import FREE, KEEP_FIX_S, KEEP_S, Whereabouts
from tests.support.tokens import NOW, claims

HERE = "192.0.2.7"


@dataclass
class Country:
    """A policy that lets in one country, with what it was asked."""

    country: str
    asked: list[tuple[str, Fix | None, Fix | None]] = field(default_factory=list)
    recheck_s: float | None = None
    warning: Reason | None = None

    def decide(
        self, place: IpPlace, fix: Fix | None, *, now: float, previous: Fix | None = None, mismatch: object = None
    ) -> PlaceVerdict:
        self.asked.append((place.address, fix, previous))
        refused = None if place.country == self.country else Reason.OUTSIDE_TERRITORY
        return PlaceVerdict(refused, None, self.warning, recheck_s=self.recheck_s)

    def trusts(self, fix: Fix, previous: Fix | None, *, now: float) -> bool:
        return previous is None or abs(fix.point.lat - previous.point.lat) < 1


class Atlas:
    """A locator of two addresses."""

    def __init__(self) -> None:
        self.version = "v1"
        self.located = 0
        self.countries = {HERE: "US", "192.0.2.8": "GB"}

    def locate(self, address: str) -> IpPlace:
        self.located += 1
        return known_place(address, country=self.countries.get(address))


class Rig:
    def __init__(self, *, governing: str | None = "us", **policies: Country) -> None:
        self.index, self.atlas = PolicyIndex(), Atlas()
        self.governing = governing
        for number, (name, policy) in enumerate(policies.items(), 1):
            self.put(name, policy, number)
        self.whereabouts = Whereabouts(self.atlas, self.index, lambda event_id: self.governing, FixBook())

    def put(self, name: str, policy: Country | None, version: int) -> None:
        record = PolicyRecord(name, version, None if policy is None else f"{policy.country}", NOW, "ops")
        self.index.heard(record)
        if policy is not None:
            self.index.install(record, policy)


def test_without_a_policy_nothing_is_asked() -> None:
    rig = Rig(governing=None, us=Country("US"))
    assert rig.whereabouts.standing(claims(), HERE, now=NOW) is FREE


def test_an_answer_is_kept_until_what_it_came_from_may_have_changed() -> None:
    us = Country("US")
    rig = Rig(us=us)
    first = rig.whereabouts.standing(claims(), HERE, now=NOW)
    assert (first.watch, first.wager) == (None, None)
    assert first.judged is not None
    assert (first.judged.policy.policy_id, first.judged.locator) == ("us", "v1")
    assert rig.whereabouts.standing(claims(), HERE, now=NOW + KEEP_S - 1) is first
    assert len(us.asked) == 1
    # Another address
    assert rig.whereabouts.standing(claims(), "192.0.2.8", now=NOW).watch is Reason.OUTSIDE_TERRITORY
    assert rig.whereabouts.standing(claims(), HERE, now=NOW).watch is None
    # Time
    rig.whereabouts.standing(claims(), HERE, now=NOW + KEEP_S + 1)
    assert len(us.asked) == 4
    # The databases
    rig.atlas.version, rig.atlas.countries = "v2", {}
    assert rig.whereabouts.standing(claims(), HERE, now=NOW).watch is Reason.OUTSIDE_TERRITORY
    # The policy
    rig.put("us", Country("nowhere"), 2)
    assert rig.whereabouts.standing(claims(), HERE, now=NOW).watch is Reason.OUTSIDE_TERRITORY
    rig.put("us", None, 3)
    assert rig.whereabouts.standing(claims(), HERE, now=NOW).watch is Reason.POLICY_UNKNOWN
    # Which one governs
    rig.governing = None
    assert rig.whereabouts.standing(claims(), HERE, now=NOW) is FREE


def test_an_address_is_looked_up_again_only_where_that_may_say_something_else() -> None:
    us = Country("US")
    rig = Rig(us=us)
    first = rig.whereabouts.standing(claims(), HERE, now=NOW)
    # Time, and another policy.
    again = rig.whereabouts.standing(claims(), HERE, now=NOW + KEEP_S)
    rig.put("us", Country("US"), 2)
    third = rig.whereabouts.standing(claims(), HERE, now=NOW + KEEP_S)
    assert first is not again is not third
    assert first.judged is not None
    assert third.judged is not None
    assert third.judged.place is first.judged.place
    assert rig.atlas.located == 1
    # Another address, other databases, and another session.
    rig.whereabouts.standing(claims(), "192.0.2.8", now=NOW)
    rig.atlas.version = "v2"
    rig.whereabouts.standing(claims(), "192.0.2.8", now=NOW)
    rig.whereabouts.standing(claims(session="other"), "192.0.2.8", now=NOW)
    assert rig.atlas.located == 4


def test_the_showings_policy_and_the_tokens_must_agree() -> None:
    rig = Rig(us=Country("US", recheck_s=600), gb=Country("GB", recheck_s=300), warns=Country("US", warning=Reason.VPN))
    both = rig.whereabouts.standing(claims(geo="gb"), HERE, now=NOW)
    assert both.watch is Reason.OUTSIDE_TERRITORY
    assert both.judged is not None
    assert both.judged.policy.policy_id == "gb"
    assert both.judged.beside is not None
    assert both.judged.beside.policy.policy_id == "us"
    assert both.recheck_s == 300
    fine = rig.whereabouts.standing(claims(geo="warns"), HERE, now=NOW)
    assert (fine.watch, fine.wager, fine.warning) == (None, None, Reason.VPN)
    # One that is not there lets nobody in, and takes nothing from what the other said.
    gone = rig.whereabouts.standing(claims(geo="lost"), HERE, now=NOW)
    assert (gone.watch, gone.wager) == (Reason.POLICY_UNKNOWN, Reason.POLICY_UNKNOWN)
    # The same one twice is asked once.
    us = Country("US")
    rig = Rig(us=us)
    rig.whereabouts.standing(claims(geo="us"), HERE, now=NOW)
    assert len(us.asked) == 1


def test_a_fix_is_asked_about_at_once_and_grows_old_sooner() -> None:
    us = Country("US")
    rig = Rig(us=us)
    rig.whereabouts.standing(claims(), HERE, now=NOW)
    first, second = Fix(Point(0, 0), 5.0, NOW), Fix(Point(0, 1), 5.0, NOW + 1)
    assert rig.whereabouts.took_fix("session-1", first)
    assert rig.whereabouts.took_fix("session-1", second)
    assert not rig.whereabouts.took_fix("session-1", first)
    rig.whereabouts.standing(claims(), HERE, now=NOW + 1)
    rig.whereabouts.standing(claims(), HERE, now=NOW + 1 + KEEP_FIX_S - 0.1)
    rig.whereabouts.standing(claims(), HERE, now=NOW + 1 + KEEP_FIX_S)
    assert us.asked == [(HERE, None, None), (HERE, second, first), (HERE, second, first)]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whereabouts, "MAX_SESSIONS", 3)
    us = Country("US")
    rig = Rig(us=us)
    for number in range(10):
        rig.whereabouts.standing(claims(session=f"s{number}"), HERE, now=NOW)
        assert len(rig.whereabouts) <= 3
    # An entitlement has no session: it is told apart by its own name.
    rig.whereabouts.standing(claims(session="", jti="e1"), HERE, now=NOW)
    rig.whereabouts.standing(claims(session="", jti="e2"), "192.0.2.8", now=NOW)
    assert rig.whereabouts.standing(claims(session="", jti="e1"), HERE, now=NOW).watch is None


def test_an_impossible_position_is_no_truer_for_being_said_twice() -> None:
    us = Country("US")
    rig = Rig(us=us)
    fixes = [Fix(Point(0, lat), 5.0, NOW + at) for at, lat in ((0, 0.0), (1, 50.0), (2, 50.0), (3, 0.5))]
    for number, one in enumerate(fixes):
        rig.whereabouts.took_fix("session-1", one)
        rig.whereabouts.standing(claims(), HERE, now=NOW + number)
    assert [(fix, previous) for _, fix, previous in us.asked] == [
        (fixes[0], None), (fixes[1], fixes[0]), (fixes[2], fixes[0]), (fixes[3], fixes[0]),
    ]  # fmt: skip


MISMATCH = '{"event_id":"game","session_policy":{"geo_mismatch_action":"warn"}}'


def test_a_session_policy_says_what_becomes_of_who_is_elsewhere() -> None:
    us, sessions = Elsewhere("US"), SessionPolicies()
    rig = Rig(us=us)
    rig.whereabouts = Whereabouts(rig.atlas, rig.index, lambda _: rig.governing, FixBook(), sessions=sessions)
    rig.whereabouts.standing(claims(), HERE, now=NOW)
    sessions.heard("event:game", MISMATCH)
    # At once: what is kept came from another policy.
    standing = rig.whereabouts.standing(claims(), HERE, now=NOW)
    assert us.mismatches == [None, ClassAction.WARN]
    assert standing.judged is not None
    assert standing.judged.mismatch is ClassAction.WARN
    assert rig.whereabouts.standing(claims(), HERE, now=NOW) is standing
    sessions.heard("event:game", None)
    rig.whereabouts.standing(claims(), HERE, now=NOW)
    assert us.mismatches == [None, ClassAction.WARN, None]


def test_a_session_policy_looks_at_place_where_no_policy_governs() -> None:
    anywhere, sessions = Elsewhere("US"), SessionPolicies()
    rig = Rig(governing=None)
    rig.whereabouts = Whereabouts(
        rig.atlas, rig.index, lambda _: None, FixBook(), sessions=sessions,
        anywhere=PolicyInForce(PolicyRecord("anywhere", 1, "", NOW, ""), anywhere),
    )  # fmt: skip
    assert rig.whereabouts.standing(claims(), HERE, now=NOW) is FREE
    sessions.heard("event:game", MISMATCH)
    assert rig.whereabouts.standing(claims(), "192.0.2.8", now=NOW).watch is Reason.OUTSIDE_TERRITORY
    assert anywhere.mismatches == [ClassAction.WARN]
    # Other events' sessions are none of its business.
    assert rig.whereabouts.standing(claims(event_id="other", session="s2"), HERE, now=NOW) is FREE


class Elsewhere(Country):
    """Notes what is to become of who is elsewhere than their network."""

    mismatches: list[object]

    def decide(
        self, place: IpPlace, fix: Fix | None, *, now: float, previous: Fix | None = None, mismatch: object = None
    ) -> PlaceVerdict:
        self.mismatches = [*getattr(self, "mismatches", []), mismatch]
        return super().decide(place, fix, now=now, previous=previous)
