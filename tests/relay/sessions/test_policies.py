from __future__ import annotations

from relay.place.model import ClassAction
from relay.sessions.policies import MAX_SUBJECT_CHARS, Governing, SessionPolicies
from relay.sessions.policy_text import FOR_EVENT, FOR_PLAN, SessionPolicy
from tests.support.tokens import claims

GAME = '{"event_id":"game","session_policy":{"max_concurrent":2}}'
SEASON = '{"plan":"season","session_policy":{"geo_mismatch_action":"warn","max_concurrent":5}}'


def made(**texts: str) -> SessionPolicies:
    policies = SessionPolicies()
    for kind, text in texts.items():
        assert policies.heard({"game": "event:game", "season": "plan:season"}[kind], text) is None
    return policies


def test_that_of_the_event_counts_before_that_of_the_plan() -> None:
    policies = made(game=GAME, season=SEASON)
    assert policies.governing(claims(plan="season", purchase="p")) == Governing("event:game", SessionPolicy(2))
    elsewhere = claims(plan="season", purchase="p", event_id="other")
    season = Governing("plan:season", SessionPolicy(5, mismatch=ClassAction.WARN))
    assert policies.governing(elsewhere) == season
    # Also of who has neither purchase nor plan.
    assert policies.governing(claims()) == Governing("event:game", SessionPolicy(2))


def test_without_one_what_is_usual_counts() -> None:
    policies = made()
    assert policies.governing(claims(purchase="p")) == Governing("event:game", FOR_EVENT)
    assert policies.governing(claims(purchase="p", plan="season")) == Governing("plan:season", FOR_PLAN)
    assert policies.governing(claims()) is None
    longest = policies.governing(claims(plan="x" * 255))
    assert longest is not None
    assert len(longest.key) == MAX_SUBJECT_CHARS


def test_what_is_heard_counts_at_once() -> None:
    policies, changes = made(), list[int]()
    policies.listen(lambda: changes.append(policies.revision))
    assert policies.heard("event:game", GAME) is None
    # The same again changes nothing.
    assert policies.heard("event:game", GAME) is None
    assert (len(policies), changes) == (1, [1])
    assert policies.heard("event:game", None) is None
    assert (len(policies), changes) == (0, [1, 2])
    assert policies.governing(claims()) is None


def test_what_is_not_understood_is_as_if_it_were_not_there() -> None:
    policies = made(game=GAME)
    why = policies.heard("event:game", '{"event_id":"game","session_policy":{"moon":1}}')
    assert why is not None
    assert "moon" in why
    assert policies.broken() == ["event:game"]
    assert policies.governing(claims(purchase="p")) == Governing("event:game", FOR_EVENT)
    assert policies.heard("event:game", GAME) is None
    assert policies.broken() == []


def test_place_is_asked_only_where_one_has_something_to_say_of_it() -> None:
    policies = made(game=GAME)
    assert not policies.rules_place
    assert policies.mismatch(claims(plan="season", event_id="other")) is None
    policies.heard("plan:season", SEASON)
    assert policies.rules_place
    assert policies.mismatch(claims(plan="season", event_id="other")) is ClassAction.WARN
    assert policies.mismatch(claims()) is None
    assert policies.mismatch(claims(event_id="other")) is None
    policies.heard("plan:season", None)
    assert not policies.rules_place


def test_what_is_usual_may_be_set() -> None:
    event, plan = SessionPolicy(2), SessionPolicy(7)
    policies = SessionPolicies(event, plan)
    assert policies.governing(claims(purchase="p")) == Governing("event:game", event)
    assert policies.governing(claims(plan="season")) == Governing("plan:season", plan)


def test_what_counts_under_a_key() -> None:
    policies = made(game=GAME)
    assert policies.of("event:game") == SessionPolicy(2)
    assert policies.of("event:other") == FOR_EVENT
    assert policies.of("plan:season") == FOR_PLAN
    assert policies.of("category:12") is None
