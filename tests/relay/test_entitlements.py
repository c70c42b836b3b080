"""Entitlements: two verifiers that never meet, and the session that is begun by one."""

from __future__ import annotations

from itertools import count

import pytest

from kernel.decisions import Whence
from kernel.errors import SettingsError
from kernel.revocation import Revocation, RevocationIndex, Subject, SubjectKind
from kernel.tokens import MAX_TOKEN_CHARS, Binding, Claims, Keyring, Purpose
from kernel.value import replace
from relay.entitlements import SKEW_S, Entitlements, algorithm_of
from relay.jwks import parse_jwks
from relay.token_verifier import TokenVerifier
from tests.support.issuer import KIDS, jwk_of, jwks, payload, signed, verifier
from tests.support.tokens import KEYRING, KEYS, NOW, claims, token

WHENCE = Whence("203.0.113.7", "Lavf/61.7.100")


def made(*, elsewhere: bool = True, keys: dict[str, bytes] | None = None) -> Entitlements:
    numbers = count(1)
    return Entitlements(keys or KEYS, verifier() if elsewhere else None, new_id=lambda: f"id-{next(numbers)}")


def own(**changes: object) -> str:
    return KEYRING.issue(claims(**changes), Purpose.ENTITLEMENT)


def begun(entitlements: Entitlements, entitlement: Claims, whence: Whence = WHENCE, now: float = NOW) -> Claims:
    text = entitlements.begin(entitlement, whence, now=now)
    assert text is not None
    session = TokenVerifier(KEYS).verify(text)
    assert session is not None
    return session


def test_ours_and_the_issuers_are_opened() -> None:
    entitlements = made()
    for _ in range(2):
        assert entitlements.open(own(), now=NOW) == claims()
        for alg in KIDS:
            found = entitlements.open(signed(alg), now=NOW)
            assert found is not None
            assert (found.account, found.kid) == ("ann", KIDS[alg])


def test_what_is_for_something_else_is_not() -> None:
    entitlements = made()
    assert entitlements.open(token(), now=NOW) is None
    assert entitlements.open(signed("EdDSA", payload(typ="session")), now=NOW) is None
    assert TokenVerifier(KEYS).verify(own()) is None
    for alg in KIDS:
        assert TokenVerifier(KEYS).verify(signed(alg)) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "a.b.c",
        own() + "=",
        own()[:-2],
        "e" * 5000,
        signed("EdDSA")[:-2],
        signed("EdDSA") + "A" * 4096,
        "é.é.é",
    ],
    ids=["empty", "word", "dots", "padded", "cut", "long", "elsewhere cut", "elsewhere long", "no ASCII"],
)
def test_strangers(text: str) -> None:
    assert made().open(text, now=NOW) is None


def test_without_an_issuer_its_tokens_are_strangers() -> None:
    entitlements = made(elsewhere=False)
    assert entitlements.open(signed("RS256"), now=NOW) is None
    assert entitlements.open(own(), now=NOW) == claims()


def test_a_key_of_the_issuers_that_is_gone_is_not_remembered() -> None:
    elsewhere = verifier()
    entitlements = Entitlements(KEYS, elsewhere, new_id=lambda: "x")
    assert entitlements.open(signed("RS256"), now=NOW) is not None
    elsewhere.rotate(parse_jwks(jwks(jwk_of("ES256"))))
    assert entitlements.open(signed("RS256"), now=NOW) is None
    assert entitlements.open(signed("ES256"), now=NOW) is not None


def test_a_session_grants_what_the_entitlement_grants() -> None:
    entitlements = made()
    entitlement = claims(
        purchase="p1",
        geo="us-west",
        fingerprint="f",
        home="US-90012",
        plan="season",
        streams=(("854", 1),),
        window=(NOW - 10, NOW + 3000),
        jti="e1",
    )
    network, device = entitlements.binder.bind(WHENCE)
    assert device == "app"
    assert begun(entitlements, entitlement) == Claims(
        jti="id-1",
        account="ann",
        event_id="game",
        not_before=NOW - 10,
        expires=NOW + 3000,
        window=(NOW - 10, NOW + 3000),
        session="id-2",
        scopes=frozenset({"watch", "wager"}),
        purchase="p1",
        geo="us-west",
        home="US-90012",
        plan="season",
        streams=(("854", 1),),
        fingerprint="f",
        binding=Binding(network, device, "e1"),
    )


@pytest.mark.parametrize(
    ("expires", "window", "ends"),
    [
        (NOW + 60, (NOW - 10, NOW + 3000), NOW + 60),
        (NOW + 3000, (NOW - 10, NOW + 60), NOW + 60),
    ],
)
def test_it_ends_with_whatever_ends_first(expires: int, window: tuple[int, int], ends: int) -> None:
    session = begun(made(), claims(expires=expires, window=window))
    assert (session.expires, session.ends) == (ends, ends)


def test_it_is_valid_where_a_clock_is_behind() -> None:
    session = begun(made(), claims(not_before=0, window=(0, NOW + 60)))
    assert session.not_before == NOW - SKEW_S


def test_each_is_a_session_of_its_own() -> None:
    entitlements = made()
    first, second = begun(entitlements, claims()), begun(entitlements, claims())
    assert len({first.jti, first.session, second.jti, second.session}) == 4


def test_it_ends_with_the_entitlement() -> None:
    session, index = begun(made(), claims(jti="e1")), RevocationIndex()
    assert not index.covers(session, NOW)
    index.apply(Revocation("r", Subject(SubjectKind.TOKEN, "e1"), "", NOW, None, "op"))
    assert index.covers(session, NOW)


def test_keys_rotate() -> None:
    entitlements = made()
    old = own()
    assert entitlements.open(old, now=NOW) is not None
    entitlements.rotate({"k2": b"n" * 32, **KEYS})
    assert entitlements.open(old, now=NOW) is not None
    text = entitlements.begin(claims(), WHENCE, now=NOW)
    assert text is not None
    session = TokenVerifier({"k2": b"n" * 32}).verify(text)
    assert session is not None
    assert entitlements.binder.breach(session, WHENCE) is None
    with pytest.raises(SettingsError):
        entitlements.rotate({})
    entitlements.rotate({"k3": b"m" * 32, "k2": b"n" * 32})
    assert entitlements.open(old, now=NOW) is None


def test_what_does_not_fit_into_a_session_is_none() -> None:
    entitlements = made()
    # As long as a token may be; the session's says where it is as well.
    room = (MAX_TOKEN_CHARS - len(own(jti=""))) * 3 // 4 - 3
    entitlement = entitlements.open(own(jti="j" * room), now=NOW)
    assert entitlement is not None
    assert entitlements.begin(entitlement, WHENCE, now=NOW) is None
    # Whatever another issuer may say does fit.
    longest = "~" * 255
    said = payload(jti=longest, sub=longest, pid=longest, geo=longest, hzp=longest, pln=longest, evt="e" * 64)
    foreign = entitlements.open(signed("EdDSA", said), now=NOW)
    assert foreign is not None
    text = entitlements.begin(foreign, WHENCE, now=NOW)
    assert text is not None
    assert len(text) <= MAX_TOKEN_CHARS


def test_the_algorithm_is_read_and_nothing_else() -> None:
    assert algorithm_of(own()) == "HS256"
    assert algorithm_of(signed("EdDSA")) == "EdDSA"
    assert algorithm_of(signed("EdDSA", None, {"alg": ["HS256"]})) == ""
    assert algorithm_of("e30.e30.") == ""
    for text in ("", "x", "..", "a.b.c", "e" * 5000, "é.é.é"):
        assert algorithm_of(text) == ""


def test_an_entitlement_may_have_the_sessions_shape() -> None:
    """`sid` stands in tokens of ours, and means nothing before there is a session."""
    entitlement = made().open(own(session="whatever"), now=NOW)
    assert entitlement is not None
    assert begun(made(), entitlement).session == "id-2"
    assert replace(entitlement, binding=None) == entitlement
    assert Keyring(KEYS).signing_kid == "k1"


LAPTOP = {"browser": "Firefox 150", "os": "Linux"}


def test_a_session_is_tied_to_the_device_that_it_is_begun_on() -> None:
    entitlements = made()
    session = entitlements.session_of(claims(fingerprint="shop's own"), WHENCE, now=NOW, device=LAPTOP)
    assert session.fingerprint == entitlements.fingerprints.of(LAPTOP)
    token = entitlements.issue(session)
    assert token is not None
    read = TokenVerifier(KEYS).verify(token)
    assert (read, read and read.kid) == (session, session.kid)


def test_a_renewed_token_is_the_same_sessions_until_its_window_ends() -> None:
    entitlements = made()
    session = entitlements.session_of(
        claims(jti="e1", expires=NOW + 60, window=(NOW - 10, NOW + 3000)), WHENCE, now=NOW, device=LAPTOP
    )
    again = entitlements.renewed(session, WHENCE, now=NOW + 30, device=LAPTOP)
    assert again == replace(session, jti=again.jti, not_before=NOW, expires=NOW + 3000)
    assert again.jti != session.jti
    # Under another key its hashes are made anew.
    entitlements.rotate({"k2": b"n" * 32, **KEYS})
    later = entitlements.renewed(session, WHENCE, now=NOW + 30, device=LAPTOP)
    assert later.kid == "k2"
    assert later.binding is not None
    assert (later.binding.network, later.binding.device) == entitlements.binder.bind(WHENCE)
    assert (later.binding.entitlement, later.fingerprint) == ("e1", entitlements.fingerprints.of(LAPTOP))


def test_who_revokes_a_token_ends_what_was_renewed_by_it() -> None:
    bare = claims(jti="t1", session="", kid="k1")
    again = made().renewed(bare, WHENCE, now=NOW)
    # It has the name by which the session was known.
    assert (again.session, again.binding) == ("t1", Binding(entitlement="t1"))
