from __future__ import annotations

from kernel.policies import PolicyRecord
from relay.place.model import Fix, IpPlace, PlaceVerdict
from relay.policies import PolicyIndex, PolicyInForce


class Policy:
    """Stand for what a text is compiled to."""

    def decide(
        self, place: IpPlace, fix: Fix | None, *, now: float, previous: Fix | None = None, mismatch: object = None
    ) -> PlaceVerdict:
        return PlaceVerdict(None, None)

    def trusts(self, fix: Fix, previous: Fix | None, *, now: float) -> bool:
        return True


OLD, NEW = Policy(), Policy()


def record(version: int, text: str | None = "{}") -> PolicyRecord:
    return PolicyRecord("west", version, text, 1.0, "ops")


def test_a_policy_is_in_force_once_it_is_compiled() -> None:
    index = PolicyIndex()
    changed: list[str] = []
    index.listen(changed.append)
    first = record(1)
    assert index.heard(first)
    assert (index.find("west"), index.waiting(), index.revision, len(index)) == (None, [first], 0, 0)
    index.install(first, OLD)
    found = index.find("west")
    assert found == PolicyInForce(first, OLD)
    assert (found.policy_id, found.version) == ("west", 1)
    assert (index.waiting(), index.revision, changed, len(index)) == ([], 1, ["west"], 1)


def test_the_one_before_stays_in_force_meanwhile() -> None:
    index = PolicyIndex()
    first, second = record(1), record(2, '{"a":1}')
    index.heard(first)
    index.install(first, OLD)
    assert index.heard(second)
    assert index.find("west") == PolicyInForce(first, OLD)
    index.install(second, NEW)
    assert index.find("west") == PolicyInForce(second, NEW)
    assert index.revision == 2


def test_what_was_compiled_too_late_is_not_put_in_force() -> None:
    index = PolicyIndex()
    first, second = record(1), record(2)
    index.heard(first)
    index.heard(second)
    index.install(first, OLD)
    assert (index.find("west"), index.waiting()) == (None, [second])
    index.heard(record(3, None))
    index.install(second, NEW)
    assert (index.find("west"), index.waiting()) == (None, [])


def test_a_policy_that_does_not_compile_or_is_deleted_is_unknown() -> None:
    index = PolicyIndex()
    changed: list[str] = []
    index.listen(changed.append)
    first, second, third = record(1), record(2), record(3)
    index.heard(first)
    index.install(first, OLD)
    index.heard(second)
    index.install(second, None)
    assert (index.find("west"), index.broken(), index.revision) == (None, ["west"], 2)
    index.heard(third)
    assert index.broken() == []
    index.install(third, NEW)
    assert not index.heard(record(4, None))
    assert (index.find("west"), index.broken(), index.revision) == (None, [], 4)
    assert changed == ["west"] * 4
    # To be deleted without having been in force changes nothing.
    index.heard(record(6, None))
    assert index.revision == 4


def test_hearing_it_again_changes_nothing_and_a_lower_version_counts() -> None:
    index = PolicyIndex()
    second = record(2)
    index.heard(second)
    index.install(second, NEW)
    assert not index.heard(record(2))
    restored = record(1, '{"a":1}')
    assert index.heard(restored)
    index.install(restored, OLD)
    assert index.find("west") == PolicyInForce(restored, OLD)
