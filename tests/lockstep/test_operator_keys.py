from __future__ import annotations

from pathlib import Path

import pytest

from kernel.errors import SettingsError
from lockstep import operator_keys
from lockstep.keys import ensure_keys, read_keys
from lockstep.operator_keys import (
    create_operator,
    end_of,
    revoke_operator,
    rotate_operator,
    scopes_of,
    span_of,
)
from relay.operators import Operators, OperatorScope, operator_key

NOW = 1_800_000_000.0
FIRST, SECOND, THIRD = (operator_key(letter * 32) for letter in (b"1", b"2", b"3"))
READ = frozenset({OperatorScope.READ})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ensure_keys(tmp_path, ["desk"])
    return tmp_path


def who(folder: Path, key: str, now: float = NOW) -> str | None:
    found = Operators(read_keys(folder).known_operators()).find(key, now=now)
    return found.name if found else None


def test_a_key_is_kept_as_a_hash_and_ends_when_it_is_to(folder: Path) -> None:
    create_operator(folder, "ann", FIRST, READ, expires=NOW + 60, now=NOW)
    assert FIRST not in (folder / "keys.toml").read_text("utf-8")
    assert (folder / "keys.toml").stat().st_mode & 0o777 == 0o600
    entry = read_keys(folder).operators["ann"]
    assert (entry.key, entry.made, entry.operator.scopes) == (None, NOW, READ)
    assert (who(folder, FIRST), who(folder, FIRST, NOW + 60)) == ("ann", None)


def test_names_are_taken_once_and_few(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_operator(folder, "ann", FIRST, READ, expires=None, now=NOW)
    with pytest.raises(SettingsError, match="there is an operator 'ann'"):
        create_operator(folder, "ann", SECOND, READ, expires=None, now=NOW)
    with pytest.raises(SettingsError, match="a name has 1 to 64"):
        create_operator(folder, "an n", SECOND, READ, expires=None, now=NOW)
    monkeypatch.setattr(operator_keys, "MAX_OPERATORS", 2)
    with pytest.raises(SettingsError, match="there are 2 operators"):
        create_operator(folder, "bob", SECOND, READ, expires=None, now=NOW)


def test_a_rotated_key_counts_until_its_overlap_ends(folder: Path) -> None:
    create_operator(folder, "ann", FIRST, READ, expires=None, now=NOW)
    rotate_operator(folder, "ann", SECOND, overlap_s=100, now=NOW)
    assert [who(folder, key, NOW + 99) for key in (FIRST, SECOND)] == ["ann", "ann"]
    assert [who(folder, key, NOW + 100) for key in (FIRST, SECOND)] == [None, "ann"]
    # The next rotation ends the one before the last.
    rotate_operator(folder, "ann", THIRD, overlap_s=100, now=NOW)
    assert [who(folder, key) for key in (FIRST, SECOND, THIRD)] == [None, "ann", "ann"]
    rotate_operator(folder, "ann", FIRST, overlap_s=0, now=NOW)
    assert [who(folder, key) for key in (FIRST, SECOND, THIRD)] == ["ann", None, None]


def test_an_overlap_does_not_outlive_the_key(folder: Path) -> None:
    create_operator(folder, "ann", FIRST, READ, expires=NOW + 50, now=NOW)
    rotate_operator(folder, "ann", SECOND, overlap_s=100, expires=NOW + 500, now=NOW)
    assert [who(folder, key, NOW + 60) for key in (FIRST, SECOND)] == [None, "ann"]
    rotate_operator(folder, "ann", THIRD, overlap_s=0, now=NOW)
    assert read_keys(folder).operators["ann"].operator.expires == NOW + 500


def test_this_machines_own_key_stays_usable(folder: Path) -> None:
    rotate_operator(folder, "cli", FIRST, overlap_s=0, now=NOW)
    assert read_keys(folder).operator_key() == FIRST
    with pytest.raises(SettingsError, match="rotate its key instead"):
        revoke_operator(folder, "cli")


def test_who_is_revoked_is_nobody(folder: Path) -> None:
    create_operator(folder, "ann", FIRST, READ, expires=None, now=NOW)
    rotate_operator(folder, "ann", SECOND, overlap_s=100, now=NOW)
    revoke_operator(folder, "ann")
    assert (who(folder, FIRST), who(folder, SECOND)) == (None, None)
    with pytest.raises(SettingsError, match="no operator 'ann'"):
        revoke_operator(folder, "ann")
    with pytest.raises(SettingsError, match="no operator 'ann'"):
        rotate_operator(folder, "ann", THIRD, overlap_s=0, now=NOW)


def test_spans_and_ends() -> None:
    assert [span_of(text) for text in ("90s", "15m", "24h", "30d", "0s")] == [90, 900, 86_400, 2_592_000, 0]
    assert end_of(None, now=NOW) is None
    assert end_of("30d", now=NOW) == NOW + 2_592_000
    assert end_of("2027-01-31T09:00:00Z", now=NOW) == 1_801_386_000
    for text in ("1w", "", "-1d", "1.5h"):
        with pytest.raises(SettingsError, match="no span of time"):
            span_of(text)
    for text in ("2027-01-31", "2027-01-31T09:00:00", "soon", "2020-01-31T09:00:00Z", "0s", "999999999d", "TZ"):
        with pytest.raises(SettingsError):
            end_of(text, now=NOW)


def test_scopes() -> None:
    assert scopes_of("read, revoke") == {OperatorScope.READ, OperatorScope.REVOKE}
    for text in ("", ",", "fly", "read,fly"):
        with pytest.raises(SettingsError, match="use one or more of read, revoke"):
            scopes_of(text)
