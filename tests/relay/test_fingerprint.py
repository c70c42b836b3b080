from __future__ import annotations

import pytest

from kernel.errors import SettingsError
from relay.fingerprint import Fingerprints
from tests.support.tokens import claims

LAPTOP = {"browser": "Firefox 150", "os": "Linux", "screen": "1920x1080", "webgl_hash": "ab12"}
OLD, NEW = {"k1": b"k" * 32}, {"k2": b"n" * 32}


def test_the_same_device_has_the_same_hash_and_another_another() -> None:
    prints = Fingerprints(OLD)
    known = prints.of(LAPTOP)
    assert len(known) == 11
    assert prints.of(dict(reversed(LAPTOP.items()))) == known
    assert prints.of({**LAPTOP, "os": "Windows"}) != known
    assert Fingerprints(NEW).of(LAPTOP) != known


def test_a_session_belongs_to_the_device_that_it_was_begun_on() -> None:
    prints = Fingerprints(OLD)
    session = claims(fingerprint=prints.of(LAPTOP), kid="k1")
    assert prints.agrees(session, LAPTOP)
    assert not prints.agrees(session, {**LAPTOP, "screen": "390x844"})
    # Who says nothing is another.
    assert not prints.agrees(session, None)
    # One that was begun on none belongs to any.
    assert prints.agrees(claims(kid="k1"), None)
    assert prints.agrees(claims(kid="k1"), LAPTOP)


def test_keys_come_and_go() -> None:
    prints = Fingerprints(OLD)
    session = claims(fingerprint=prints.of(LAPTOP), kid="k1")
    prints.rotate({**NEW, **OLD})
    assert prints.agrees(session, LAPTOP)
    assert prints.agrees(claims(fingerprint=prints.of(LAPTOP), kid="k2"), LAPTOP)
    prints.rotate(NEW)
    assert not prints.agrees(session, LAPTOP)
    with pytest.raises(SettingsError):
        prints.rotate({})
