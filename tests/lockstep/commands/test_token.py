from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from kernel.errors import SettingsError
from kernel.io.system_time import wall
from kernel.tokens import Claims, Purpose
from lockstep.cli import app
from lockstep.keys import ensure_keys, read_keys
from relay.token_verifier import TokenVerifier
from tests.support.issuer import ISSUER, jwks, payload, signed


def run(folder: Path, *arguments: str, text: str | None = None) -> Result:
    command = ["token", *arguments, "--data-dir", str(folder)]
    return CliRunner().invoke(app, command, input=text, catch_exceptions=False)


def issue(folder: Path, *options: str) -> str:
    answer = run(folder, "--event", "game", "--account", "ann", *options)
    assert answer.exit_code == 0
    return answer.stdout.removesuffix("\n")


def verified(folder: Path, token: str) -> Claims | None:
    return TokenVerifier(read_keys(folder).signing).verify(token)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ensure_keys(tmp_path, [])
    return tmp_path


def test_it_prints_the_token_alone(folder: Path) -> None:
    claims = verified(folder, issue(folder, "--ttl", "60"))
    assert claims is not None
    assert (claims.account, claims.event_id) == ("ann", "game")
    assert claims.scopes == {"watch", "wager"}
    assert claims.reason_at(wall(), "game", "watch") is None
    assert claims.reason_at(wall() + 61, "game", "watch") == "expired"


def test_a_plan_is_named(folder: Path) -> None:
    told = [verified(folder, issue(folder, *more)) for more in (["--plan", "season:2026"], [])]
    assert [claims and claims.plan for claims in told] == ["season:2026", None]


def test_scopes_and_ids_are_what_was_asked(folder: Path) -> None:
    first, second = (verified(folder, issue(folder, "--scope", "server, wager")) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.scopes == {"server", "wager"}
    assert first.jti != second.jti
    assert first.session != second.session


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--event", "a"],
        ["--account", "x"],
        ["--event", "a.b", "--account", "x"],
        ["--event", "a", "--account", ""],
        ["--event", "a", "--account", "x" * 129],
        ["--event", "a", "--account", "x", "--ttl", "0"],
        ["--event", "a", "--account", "x", "--ttl", "99999999"],
        ["--event", "a", "--account", "x", "--scope", "admin"],
        ["--event", "a", "--account", "x", "--plan", "a b"],
        ["--event", "a", "--account", "x", "--scope", ","],
        ["--event", "a", "--account", "x", "--data-dir", "{empty}"],
        ["rotate", "--wait", "-1"],
        ["rotate", "--wait", "nan"],
        ["rotate", "--data-dir", "{empty}"],
        ["check", "a.b.c", "--data-dir", "{empty}"],
        ["sign", "--claims-file", "{empty}"],
    ],
)
def test_what_is_wrong_is_said(folder: Path, options: list[str]) -> None:
    empty = folder / "empty"
    empty.mkdir()
    words = [option.format(empty=empty) for option in options]
    with pytest.raises(SettingsError):
        CliRunner().invoke(
            app,
            ["token", *words, *([] if "--data-dir" in words else ["--data-dir", str(folder)])],
            catch_exceptions=False,
        )


def test_check_says_what_a_token_claims(folder: Path) -> None:
    token = issue(folder)
    answer = run(folder, "check", token)
    assert answer.exit_code == 0
    assert answer.stdout.startswith("valid now  yes\n")
    assert '"ann"' in answer.stdout
    assert token.split(".")[2] not in answer.stdout
    # From standard input it stays out of the list of processes.
    assert run(folder, "check", "-", text=token + "\n").stdout == answer.stdout
    told = json.loads(run(folder, "check", token, "--json").stdout)
    assert (told["valid"], told["kid"]) == (True, next(iter(read_keys(folder).signing)))


def test_check_fails_for_what_is_not_valid(folder: Path) -> None:
    for text, why in (("hello", "malformed"), (issue(folder)[:-4] + "AAAA", "bad_signature"), ("x" * 9000, "too_long")):
        for answer in (run(folder, "check", text), run(folder, "check", "-", text=text)):
            assert answer.exit_code == 1
            assert answer.stdout.startswith(f"valid now  no: {why} ")
        told = run(folder, "check", text, "--json")
        assert (told.exit_code, json.loads(told.stdout)["why"]) == (1, why)


CLAIMS = {
    "typ": "session", "jti": "j", "sub": "ann", "evt": "game", "nbf": 1, "exp": 2, "win": [1, 2], "sid": "s",
    "scp": ["watch"], "geo": "us", "own": {"any": "thing"},
}  # fmt: skip


def test_sign_signs_claims_as_they_stand(folder: Path) -> None:
    (folder / "claims.json").write_text(json.dumps(CLAIMS), "utf-8")
    answer = run(folder, "sign", "--claims-file", str(folder / "claims.json"))
    assert answer.exit_code == 0
    claims = verified(folder, answer.stdout.strip())
    assert claims is not None
    assert (claims.account, claims.expires, claims.geo) == ("ann", 2, "us")
    assert run(folder, "sign", text=json.dumps(CLAIMS)).stdout == answer.stdout
    told = json.loads(run(folder, "check", answer.stdout.strip(), "--json").stdout)
    assert told["claims"] == CLAIMS
    assert told["why"] == "expired"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        ("[]", "no JSON object"),
        ('{"a":1,"a":2}', "twice"),
        (json.dumps({**CLAIMS, "exp": "2"}), r"`\$\.exp`"),
        (json.dumps({**CLAIMS, "jti": None}), r"`\$\.jti`"),
        (json.dumps({**CLAIMS, "typ": "other"}), "typ"),
        (json.dumps({**CLAIMS, "iss": 7}), "cannot be signed"),
        (json.dumps({**CLAIMS, "sub": "a" * 3500}), "4096 characters"),
        (json.dumps({**CLAIMS, "sub": "a" * 5000}), "longer than"),
    ],
)
def test_sign_refuses_what_no_server_would_take(folder: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        run(folder, "sign", text=text)


def test_rotate_makes_a_new_key_and_drops_the_oldest(folder: Path) -> None:
    first, token = next(iter(read_keys(folder).signing)), issue(folder)
    answer = run(folder, "rotate", "--wait", "0")
    second = next(iter(read_keys(folder).signing))
    assert answer.stdout == f"signs     {second}\naccepted  {first}\n"
    assert verified(folder, token) is not None
    answer = run(folder, "rotate", "--wait", "0")
    third = next(iter(read_keys(folder).signing))
    assert answer.stdout == f"signs     {third}\naccepted  {second}\ndropped   {first}\n"
    assert verified(folder, token) is None
    for key in read_keys(folder).signing.values():
        assert key.hex() not in answer.stdout
    assert run(folder, "check", token).exit_code == 1
    assert run(folder, "check", issue(folder)).exit_code == 0


def test_an_entitlement_is_for_nothing_but_the_exchange(folder: Path) -> None:
    text = issue(folder, "--purpose", "entitlement")
    assert verified(folder, text) is None
    assert TokenVerifier(read_keys(folder).signing, Purpose.ENTITLEMENT).verify(text) is not None
    told = json.loads(run(folder, "check", text, "--json").stdout)
    assert (told["valid"], told["purpose"], told["claims"]["typ"]) == (True, "entitlement", "entitlement")


def test_a_token_from_elsewhere_is_checked_by_the_settings(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "jwks.json").write_bytes(jwks())
    config = tmp_path / "lockstep.toml"
    config.write_text(
        f'[issuer]\njwks = "jwks.json"\nname = "{ISSUER.name}"\naudience = "{ISSUER.audience}"\n', "utf-8"
    )
    now = int(wall())
    text = signed("ES256", payload(nbf=now - 1, exp=now + 600, win=None))
    answer = run(folder, "check", text, "--config", str(config))
    assert answer.exit_code == 0
    assert 'signed by  "ec-1", of the issuer in the settings' in answer.stdout
    assert run(folder, "check", text).exit_code == 1
    assert run(folder, "check", signed("ES256", name="eve"), "--config", str(config)).exit_code == 1
    (tmp_path / "jwks.json").write_bytes(b"{")
    with pytest.raises(SettingsError, match=r"jwks\.json"):
        run(folder, "check", text, "--config", str(config))
