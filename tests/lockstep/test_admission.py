from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from kernel.errors import SettingsError
from kernel.tokens import Keyring, Purpose
from lockstep.admission import Admission, issuer_verifier
from lockstep.keys import Keys
from lockstep.settings import Settings
from tests.support.issuer import ISSUER, jwk_of, jwks, signed
from tests.support.tokens import KEYS, NOW, claims, token

KNOWN = Keys(KEYS, {})


def settings(path: Path | None, **changes: object) -> Settings:
    issuer = {"jwks": path, "name": ISSUER.name, "audience": ISSUER.audience, **changes}
    return Settings.model_validate({"issuer": issuer})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    path.write_bytes(jwks())
    return path


async def test_both_issuers(path: Path) -> None:
    admission = await Admission.open(settings(path), KNOWN)
    assert list(admission.parts()) == ["issuer keys"]
    assert admission.tokens.verify(token(), now=NOW) == claims()
    assert admission.entitlements.open(signed("ES256"), now=NOW) is not None
    assert admission.entitlements.open(Keyring(KEYS).issue(claims(), Purpose.ENTITLEMENT), now=NOW) == claims()


async def test_nobody_else() -> None:
    admission = await Admission.open(Settings(), KNOWN)
    assert admission.parts() == {}
    assert admission.entitlements.open(signed("ES256"), now=NOW) is None


async def test_our_keys_rotate_everywhere(path: Path) -> None:
    admission = await Admission.open(settings(path), KNOWN)
    new = {"k2": b"n" * 32}
    admission.rotate(new)
    assert admission.tokens.verify(token(), now=NOW) is None
    assert admission.tokens.verify(Keyring(new).issue(claims()), now=NOW) == claims()
    assert admission.entitlements.open(Keyring(new).issue(claims(), Purpose.ENTITLEMENT), now=NOW) == claims()
    with pytest.raises(SettingsError):
        admission.rotate({})
    assert admission.tokens.verify(Keyring(new).issue(claims()), now=NOW) == claims()


async def test_the_file_is_watched(path: Path) -> None:
    admission = await Admission.open(settings(path), KNOWN)
    await asyncio.to_thread(path.write_bytes, jwks(jwk_of("EdDSA")))
    assert admission.entitlements.open(signed("ES256"), now=NOW) is not None
    assert admission.issuer_file is not None
    await admission.issuer_file.look()
    assert admission.entitlements.open(signed("ES256"), now=NOW) is None
    assert admission.entitlements.open(signed("EdDSA"), now=NOW) is not None


@pytest.mark.parametrize(
    "changes", [{"name": ""}, {"audience": ""}, {"jwks": None}, {"jwks": "nowhere.json"}, {"jwks": "."}]
)
def test_half_an_issuer_is_refused(path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match="issuer"):
        issuer_verifier(settings(path, **changes))


def test_what_the_settings_say_of_it(path: Path) -> None:
    one = issuer_verifier(settings(path, algorithms=["ES256"], event_claim="event"))
    assert one is not None
    assert (one.issuer.algorithms, one.issuer.names.event, one.issuer.names.account) == (("ES256",), "event", "sub")
    path.write_bytes(jwks(jwk_of("RS256")))
    with pytest.raises(SettingsError, match="no signature key"):
        issuer_verifier(settings(path, algorithms=["ES256"]))
