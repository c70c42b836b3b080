from __future__ import annotations

from pathlib import Path

import pytest

from feeds.standard_webhooks import parse_secret
from kernel.errors import SettingsError
from lockstep.keys import Rotation, drop_webhooks, ensure_keys, new_webhooks, read_keys, rotate_keys
from relay.operators import Operators, OperatorScope, digest_of, operator_key
from relay.token_verifier import TokenVerifier
from tests.support.tokens import claims


def test_the_first_start_makes_private_keys(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    made = ensure_keys(folder, ["nba", "desk"])
    path = folder / "keys.toml"
    assert path.stat().st_mode & 0o777 == 0o600
    assert set(made.webhook_secrets) == {"nba", "desk"}
    assert all(len(parse_secret(secret)) == 32 for secret in made.webhook_secrets.values())
    assert read_keys(folder) == made
    assert TokenVerifier(made.signing).verify(read_keys(folder).keyring().issue(claims())) == claims()
    found = Operators(made.known_operators()).find(made.operator_key(), now=0.0)
    assert found is not None
    assert (found.name, found.scopes) == ("cli", frozenset(OperatorScope))
    assert [item.name for item in folder.iterdir()] == ["keys.toml"]


def test_a_later_start_keeps_them_and_adds_what_is_new(tmp_path: Path) -> None:
    first = ensure_keys(tmp_path, ["nba"])
    before = (tmp_path / "keys.toml").stat().st_mtime_ns
    assert ensure_keys(tmp_path, ["nba"]) == first
    assert (tmp_path / "keys.toml").stat().st_mtime_ns == before
    second = ensure_keys(tmp_path, ["desk"])
    assert second.signing == first.signing
    assert second.webhook_secrets["nba"] == first.webhook_secrets["nba"]
    assert "desk" in second.webhook_secrets
    assert second.operators == first.operators


def test_a_file_from_before_there_were_operators_gets_one(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    first = ensure_keys(tmp_path, ["nba"])
    path.write_text(path.read_text("utf-8").partition("[operators")[0], "utf-8")
    with pytest.raises(SettingsError, match=r"no operator's key.*start `lockstep serve`"):
        read_keys(tmp_path).operator_key()
    second = ensure_keys(tmp_path, ["nba"])
    assert (second.signing, second.webhook_secrets) == (first.signing, first.webhook_secrets)
    assert read_keys(tmp_path) == second
    assert second.operator_key() != first.operator_key()


def test_other_operators_are_known_by_their_hash_and_stay_when_the_file_is_written(tmp_path: Path) -> None:
    ensure_keys(tmp_path, [])
    ann = operator_key(b"a" * 32)
    path = tmp_path / "keys.toml"
    with path.open("a", encoding="utf-8") as file:
        file.write(f'\n[operators.ann]\nsha256 = "{digest_of(ann).hex()}"\nscopes = ["read"]\n')
    keys = ensure_keys(tmp_path, ["nba"])
    assert read_keys(tmp_path) == keys
    found = Operators(keys.known_operators()).find(ann, now=0.0)
    assert found is not None
    assert (found.name, found.scopes) == ("ann", frozenset({OperatorScope.READ}))
    assert ann not in path.read_text("utf-8")


def test_keys_are_never_shown(tmp_path: Path) -> None:
    keys = ensure_keys(tmp_path, ["nba"])
    assert keys.webhook_secrets["nba"] not in repr(keys)
    assert keys.operator_key() not in repr(keys)
    assert "nba" in repr(keys)


def test_without_a_file_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no keys at .*start `lockstep serve`"):
        read_keys(tmp_path)


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    ensure_keys(tmp_path, [])
    (tmp_path / "keys.toml").chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        read_keys(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        "not toml [",
        "x = 1",
        '[signing]\nk = "not base64!"',
        "[signing]\nk = 1",
        "signing = 3",
        '[signing]\n[webhooks]\nn = "whsec_AA"',
        '[signing]\n[operators]\nann = "lko_x"',
        "[signing]\n[operators.ann]\nscopes = []",
        '[signing]\n[operators.ann]\nkey = "secret"\nscopes = []',
        '[signing]\n[operators.ann]\nsha256 = "00"\nscopes = []',
        f'[signing]\n[operators.ann]\nsha256 = "{"00" * 32}"',
        f'[signing]\n[operators.ann]\nsha256 = "{"00" * 32}"\nscopes = ["all"]',
        f'[signing]\n[operators."a b"]\nsha256 = "{"00" * 32}"\nscopes = []',
    ],
)
def test_a_damaged_file_is_said(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys.toml"
    path.touch(mode=0o600)
    path.write_text(content, "utf-8")
    with pytest.raises(SettingsError):
        read_keys(tmp_path)


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", "utf-8")
    with pytest.raises(SettingsError, match="cannot be made"):
        ensure_keys(tmp_path / "file" / "data", [])
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "keys.new").mkdir()
    with pytest.raises(SettingsError, match="cannot be written"):
        ensure_keys(blocked, [])


def test_a_rotation_announces_first_and_signs_then(tmp_path: Path) -> None:
    before = ensure_keys(tmp_path, ["nba"])
    (old,) = before.signing
    announced = []
    done = rotate_keys(tmp_path, lambda: announced.append(read_keys(tmp_path)))
    # The new key is known everywhere before the first token bears it.
    assert [list(keys.signing) for keys in announced] == [[old, done.signing]]
    after = read_keys(tmp_path)
    assert list(after.signing) == [done.signing, old]
    assert after.signing == announced[0].signing
    assert after.signing[old] == before.signing[old]
    assert len(after.signing[done.signing]) == 32
    assert after.webhook_secrets == before.webhook_secrets
    assert done == Rotation(done.signing, old, ())
    assert (tmp_path / "keys.toml").stat().st_mode & 0o777 == 0o600


def test_a_second_rotation_drops_the_oldest_key(tmp_path: Path) -> None:
    ensure_keys(tmp_path, [])
    first = rotate_keys(tmp_path, lambda: None)
    during: list[str] = []
    second = rotate_keys(tmp_path, lambda: during.extend(read_keys(tmp_path).signing))
    assert second == Rotation(second.signing, first.signing, (first.accepted,))
    assert during == [first.signing, second.signing]
    assert list(read_keys(tmp_path).signing) == [second.signing, first.signing]


def test_a_rotation_cut_short_leaves_the_old_key_signing(tmp_path: Path) -> None:
    (old,) = ensure_keys(tmp_path, []).signing

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rotate_keys(tmp_path, interrupted)
    left = list(read_keys(tmp_path).signing)
    assert left[0] == old
    # Nothing was signed with the one that was announced: the next rotation starts over.
    again = rotate_keys(tmp_path, lambda: None)
    assert (again.accepted, again.dropped) == (old, (left[1],))


def test_rotations_do_not_meet(tmp_path: Path) -> None:
    ensure_keys(tmp_path, [])

    def meanwhile() -> None:
        with pytest.raises(SettingsError, match="being changed by another command"):
            rotate_keys(tmp_path, lambda: None)
        with pytest.raises(SettingsError, match="being changed by another command"):
            ensure_keys(tmp_path, ["new"])
        # A server that lacks nothing starts all the same.
        ensure_keys(tmp_path, [])

    rotate_keys(tmp_path, meanwhile)
    rotate_keys(tmp_path, lambda: None)
    assert [item.name for item in tmp_path.iterdir()] == ["keys.toml"]


def test_a_rotation_needs_keys(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no keys at"):
        rotate_keys(tmp_path, lambda: None)
    with pytest.raises(SettingsError, match="cannot be opened"):
        rotate_keys(tmp_path / "none", lambda: None)
    (tmp_path / "keys.toml").touch(0o600)
    (tmp_path / "keys.toml").write_text("[signing]\n", "utf-8")
    with pytest.raises(SettingsError, match="no signing key"):
        rotate_keys(tmp_path, lambda: None)


def test_this_machines_operator_may_also_do_what_is_new(tmp_path: Path) -> None:
    ensure_keys(tmp_path, [])
    path = tmp_path / "keys.toml"
    lines = path.read_text("utf-8").splitlines()
    path.write_text("\n".join('scopes = ["read"]' if line.startswith("scopes") else line for line in lines), "utf-8")
    keys = ensure_keys(tmp_path, [])
    assert keys.operators["cli"].operator.scopes == frozenset(OperatorScope)
    assert read_keys(tmp_path) == keys


@pytest.mark.parametrize(
    "line",
    [
        'expires = "2027-01-31"',
        "expires = 2027-01-31T09:00:00",
        "before_expires = 1",
        'scopes = ["fly"]',
        'before = ""',
    ],
)
def test_an_operator_that_is_none_is_said(tmp_path: Path, line: str) -> None:
    ensure_keys(tmp_path, [])
    entry = {"sha256": f'sha256 = "{"0" * 64}"', "scopes": 'scopes = ["read"]', "before": f'before = "{"1" * 64}"'}
    entry["before_expires"] = "before_expires = 2027-01-31T09:00:00Z"
    entry[line.partition(" ")[0]] = line
    with (tmp_path / "keys.toml").open("a", encoding="utf-8") as file:
        file.write("\n".join(["", "[operators.ann]", *entry.values(), ""]))
    with pytest.raises(SettingsError, match="is not a keys file"):
        read_keys(tmp_path)


def test_secrets_of_sources_come_and_go(tmp_path: Path) -> None:
    first = ensure_keys(tmp_path, ["nba"])
    made = new_webhooks(tmp_path, ["desk", "nba"])
    keys = read_keys(tmp_path)
    assert keys.webhook_secrets == made
    assert made["nba"] != first.webhook_secrets["nba"]
    assert (keys.signing, keys.operators) == (first.signing, first.operators)
    drop_webhooks(tmp_path, ["nba", "nobody"])
    assert read_keys(tmp_path).webhook_secrets == {"desk": made["desk"]}
