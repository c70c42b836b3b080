"""Attacks on entitlements, on the real server: one thing passed off for another, and what may be learned of it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kernel.io.system_time import wall
from kernel.tokens import Purpose
from tests.attacks.server import Answer, Server
from tests.support.issuer import KIDS, jwk_of, jwks, payload, private_key, public_jwk, signed
from tests.support.tokens import claims


def said(**changes: Any) -> dict[str, Any]:
    """Return claims that entitle to `game` now."""
    now = int(wall())
    return payload(**{"nbf": now - 60, "exp": now + 3600, "win": None, **changes})


def bearer(server: Server, token: str, path: str = "/hls/game/index.m3u8") -> Answer:
    return server.get(path, {"Authorization": f"Bearer {token}"})


def own(server: Server, **changes: Any) -> str:
    now = int(wall())
    told = {"not_before": now - 60, "expires": now + 3600, "window": (now - 60, now + 3600), **changes}
    return server.keys.keyring().issue(claims(**told), Purpose.ENTITLEMENT)


def refused(server: Server, token: str) -> None:
    """See that a stranger's token is told nothing and gets nothing, whichever way it comes."""
    for answer in (bearer(server, token), server.get(f"/hls/{token}/game/index.m3u8")):
        assert answer.status in (401, 404), token
        assert "reason" not in answer.problem
        assert "location" not in answer.headers


def test_what_is_good_is_exchanged(server: Server) -> None:
    """Or the rest of this file would prove nothing."""
    for token in (own(server), *(signed(alg, said()) for alg in KIDS)):
        answer = bearer(server, token)
        assert (answer.status, answer.headers["cache-control"]) == (302, "no-store")
        assert server.get(answer.headers["location"]).status == 200


def test_a_public_key_is_no_secret(server: Server) -> None:
    key, jwk = private_key("RS256").public_key(), jwk_of("RS256")
    spki = PublicFormat.SubjectPublicKeyInfo
    ours = next(iter(server.keys.signing))
    for secret in (
        key.public_bytes(Encoding.PEM, spki), key.public_bytes(Encoding.PEM, spki).strip(),
        key.public_bytes(Encoding.DER, spki), key.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
        json.dumps(jwk).encode(), jwk["n"].encode(), jwks(),
    ):  # fmt: skip
        for header in ({"alg": "HS256"}, {"alg": "RS256"}, {"alg": "HS256", "kid": ours}):
            refused(server, signed("HS256", said(typ="session"), header, key=secret))
            refused(server, signed("HS256", said(), header, key=secret))


def test_our_secret_signs_nothing_for_another_issuer(server: Server) -> None:
    kid, secret = next(iter(server.keys.signing.items()))
    for header in ({"alg": "RS256", "kid": "rsa-1"}, {"alg": "HS256", "kid": "rsa-1"}, {"alg": "EdDSA", "kid": kid}):
        refused(server, signed("HS256", said(), header, key=secret))
    # And another issuer's key signs nothing of ours.
    whole = json.loads(json.dumps({**said(), "typ": "session", "sid": "s", "win": [0, 1 << 40]}))
    for alg in KIDS:
        refused(server, signed(alg, whole, {"alg": "HS256", "kid": kid}))
        refused(server, signed(alg, whole, {"kid": kid}))
        refused(server, signed(alg, whole))


@pytest.mark.parametrize("alg", KIDS)
def test_headers_that_say_something_else(server: Server, alg: str) -> None:
    other = KIDS["ES256" if alg == "EdDSA" else "EdDSA"]
    good = signed(alg, said())
    refused(server, signed(alg, said(), {"alg": "none"}))
    refused(server, signed(alg, said(), {"alg": "none"}).rpartition(".")[0] + ".")
    refused(server, signed(alg, said(), {"alg": "RS512"}))
    refused(server, signed(alg, said(), {"kid": other}))
    refused(server, signed(alg, said(), {"kid": None}))
    refused(server, signed(alg, said(), {"crit": ["exp"]}))
    refused(server, signed(alg, said(), {"b64": False}))
    refused(server, f"{good}=")
    refused(server, f"{good[:-2]}{'AA' if good[-2:] != 'AA' else 'BB'}")
    refused(server, good + "A" * 4096)


def test_another_curve(server: Server) -> None:
    other = ec.generate_private_key(ec.SECP384R1())
    refused(server, signed("ES384", said(), {"alg": "ES256", "kid": "ec-1"}, key=other))
    refused(server, signed("ES384", said(), {"alg": "ES384", "kid": "ec-1"}, key=other))


def test_keys_and_places_in_the_header_are_not_looked_at(server: Server) -> None:
    eve = private_key("EdDSA", "eve")
    place = f"http://127.0.0.1:{server.port}/keys"
    brought = {"jwk": public_jwk(eve), "jku": place, "x5u": place, "x5c": ["MIIB"]}
    asked = len([line for line in server.log if '"/keys"' in line])
    refused(server, signed("EdDSA", said(), brought, key=eve))
    refused(server, signed("EdDSA", said(), {**brought, "kid": "eve"}, key=eve))
    assert len([line for line in server.log if '"/keys"' in line]) == asked


def test_claims_that_are_none(server: Server) -> None:
    twice = json.dumps(said()).replace('"sub"', '"sub": "eve", "sub"').encode()
    for one in (
        twice, said(exp=str(int(wall()) + 60)), said(exp=None), said(iss="https://evil.test"), said(aud="other"),
        said(aud=None), said(jti=None), said(sub=None), said(evt="../game"), said(typ="session"), b"[]",
    ):  # fmt: skip
        refused(server, signed("EdDSA", one))


def test_one_purpose_where_the_other_is_asked(server: Server) -> None:
    """An entitlement opens nothing, and a session begins no other."""
    for token in (own(server), signed("ES256", said())):
        for what in ("main/index.m3u8", "main/0-0.ts", "main/key-0123456789abcdef.bin"):
            for answer in (bearer(server, token, f"/hls/game/{what}"), server.get(f"/hls/{token}/game/{what}")):
                assert (answer.status, answer.problem["reason"]) == (403, "wrong_purpose")
        upgrade = (
            "GET /api/v1/wagering/subscribe?event_id=game HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            f"Authorization: Bearer {token}\r\n\r\n"
        )
        with server.connect() as one:
            one.sendall(upgrade.encode())
            told = b""
            while b'"bye"' not in told:
                piece = one.recv(65_536)
                assert piece, told
                told += piece
        assert b'"code":4501' in told
        assert b'"hello"' not in told
    assert server.get(f"/hls/{server.token()}/game/index.m3u8").status == 200
    other = bearer(server, signed("ES256", said()), "/hls/guarded/index.m3u8")
    assert (other.status, other.problem["reason"]) == (403, "wrong_event")


def test_the_log_shows_neither_token(server: Server) -> None:
    token = signed("EdDSA", said(jti="order-seen"))
    session = server.get(f"/hls/{token}/game/index.m3u8").headers["location"].split("/")[2]
    assert server.get(f"/hls/{session}/game/index.m3u8").status == 200
    seen = "".join(server.log)
    for one in (token, session):
        assert one not in seen
        assert one.rpartition(".")[2] not in seen
    assert "order-seen" in seen
    # Nor does the session's token show where it was begun.
    middle = session.split(".")[1]
    claimed = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    assert (len(claimed["net"]), claimed["dev"], claimed["ent"]) == (11, "other", "order-seen")
    assert "127." not in json.dumps(claimed)


def test_a_page_elsewhere_is_led_to_no_other_place(server: Server) -> None:
    """The one redirect there is leads to a path of ours, whatever the Host field says."""
    answer = server.get(f"/hls/{own(server)}/game/index.m3u8", {"Host": "evil.test", "X-Forwarded-Host": "evil.test"})
    assert answer.status == 302
    assert answer.headers["location"].startswith("/hls/ey")
    assert "evil" not in answer.raw.decode("latin-1")


def test_a_session_that_is_handed_on(server: Server) -> None:
    """Its link works in the network and on the kind of device where it was begun, whoever got it from there."""
    phone = {"User-Agent": "AppleCoreMedia/1.0.0.22F76 (iPhone; U; CPU OS 18_5 like Mac OS X; en_us)"}
    television = {"User-Agent": "AppleCoreMedia/1.0.0.22L572 (Apple TV; U; CPU OS 18_5 like Mac OS X; en_us)"}
    begun = server.get(f"/hls/{own(server)}/game/index.m3u8", phone, source="127.7.1.1")
    playlist = begun.headers["location"]
    segment = playlist.replace("index.m3u8", "main/0-0.ts")
    for path in (playlist, segment):
        assert server.get(path, phone, source="127.7.1.1").status == 200
        assert server.get(path, phone, source="127.7.1.200").status == 200
        elsewhere = server.get(path, phone, source="127.7.2.1")
        assert (elsewhere.status, elsewhere.problem["reason"]) == (403, "network_changed")
        other = server.get(path, television, source="127.7.1.1")
        assert (other.status, other.problem["reason"]) == (403, "device_changed")
        # Strangers to a trusted proxy cannot say that they are somewhere else.
        claimed = server.get(path, {**phone, "X-Forwarded-For": "127.7.1.1"}, source="127.7.2.1")
        assert (claimed.status, claimed.problem["reason"]) == (403, "network_changed")
