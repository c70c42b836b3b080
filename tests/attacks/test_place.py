"""Attacks on place: positions that are made up, addresses that are claimed, policies that are not theirs to write."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kernel.io.system_time import wall
from tests.attacks.server import PROXY, Answer, Server

SAN_DIEGO, LONDON, VPN = "45.16.4.1", "45.16.19.1", "45.16.1.11"
POLICY: dict[str, Any] = {
    "policy_id": "states",
    "watch": {
        "default": "deny",
        "rules": [
            {
                "name": "fence",
                "effect": "allow",
                "where": {
                    "all": [
                        {"country": ["US"]},
                        {"polygon": [[[-130, 25], [-60, 25], [-60, 50], [-130, 50], [-130, 25]]]},
                    ]
                },
            }
        ],
    },
    "networks": {"vpn": "block"},
    "gps": {"tolerance_m": 50_000},
}
CHECK = "/api/v1/ppv/geo-check/game"


@pytest.fixture
def states(server: Server) -> None:
    """Put a policy in force: the United States, not by VPN."""
    put(server, POLICY)


def put(server: Server, policy: dict[str, Any], key: str | None = None) -> Answer:
    name = policy["policy_id"]
    return server.get(
        f"/api/v1/policies/{name}", {"Authorization": f"Bearer {key or server.keys.operator_key()}"},
        method="PUT", body=json.dumps(policy).encode(),
    )  # fmt: skip


def watch(server: Server, token: str, address: str) -> str | None:
    """Return why somebody at an address does not get the list, None if they do."""
    answer = server.get(f"/hls/{token}/game/index.m3u8", {"X-Forwarded-For": address}, source=PROXY)
    return None if answer.status == 200 else str(answer.problem["reason"])


def report(server: Server, token: str, address: str, lat: float, lon: float, **more: Any) -> Answer:
    body = {"lat": lat, "lon": lon, "accuracy_m": 5, "at": int(wall() * 1000), **more}
    headers = {"X-Forwarded-For": address, "Authorization": f"Bearer {token}"}
    return server.get(CHECK, headers, source=PROXY, method="POST", body=json.dumps(body).encode())


@pytest.mark.usefixtures("states")
def test_a_position_lets_nobody_in(server: Server) -> None:
    token = server.token(geo="states", session="spoofed", jti="spoofed")
    assert watch(server, token, LONDON) == "outside_territory"
    told = json.loads(report(server, token, LONDON, 32.7157, -117.1611).body)
    assert (told["status"], told["watch"]["allowed"]) == ("blocked", False)
    assert watch(server, token, LONDON) is not None
    # By a VPN into the country, with a position to match: the network decides.
    other = server.token(geo="states", session="hidden", jti="hidden")
    assert json.loads(report(server, other, VPN, 34.0522, -118.2437).body)["watch"]["reason"] == "vpn"
    # An address in the country, and a device that is not: the device does not get in by its address.
    third = server.token(geo="states", session="abroad", jti="abroad")
    assert watch(server, third, SAN_DIEGO) is None
    assert json.loads(report(server, third, SAN_DIEGO, 51.5, -0.1).body)["watch"]["allowed"] is False
    assert watch(server, third, SAN_DIEGO) == "geo_mismatch"
    # Positions from the future, of no accuracy, and with fields of their own.
    for odd, status in (({"at": 9_999_999_999_999}, 200), ({"accuracy_m": 1e12}, 422), ({"speed": 3}, 422)):
        fresh = server.token(geo="states", session=f"odd-{status}", jti="odd")
        answer = report(server, fresh, SAN_DIEGO, 32.7157, -117.1611, **odd)
        assert answer.status == status
        if status == 200:
            assert json.loads(answer.body)["watch"] == {"allowed": False, "reason": "gps_implausible"}


@pytest.mark.usefixtures("states")
def test_a_position_is_its_sessions_alone(server: Server) -> None:
    mine = server.token(geo="states", session="mine", jti="mine")
    theirs = server.token(geo="states", session="theirs", jti="theirs", account="bob")
    assert report(server, mine, SAN_DIEGO, 51.5, -0.1).status == 200
    assert watch(server, mine, SAN_DIEGO) == "geo_mismatch"
    assert watch(server, theirs, SAN_DIEGO) is None
    # Another showing's token, and a stranger's, report nothing.
    elsewhere = server.token(event_id="guarded", session="theirs", jti="elsewhere")
    assert report(server, elsewhere, SAN_DIEGO, 51.5, -0.1).problem["reason"] == "wrong_event"
    assert report(server, mine + "=", SAN_DIEGO, 51.5, -0.1).status == 401
    assert watch(server, theirs, SAN_DIEGO) is None


@pytest.mark.usefixtures("states")
def test_a_vpn_switched_on_is_caught_at_the_next_request(server: Server) -> None:
    token = server.token(geo="states", session="switched", jti="switched")
    request = f"GET /hls/{token}/game/%s HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: %s\r\n\r\n"
    # One connection of the proxy, as they keep them.
    with server.connect(PROXY) as one:
        for address, name, status in (
            (SAN_DIEGO, "index.m3u8", b"200"), (SAN_DIEGO, "main/0-0.ts", b"200"), (VPN, "main/0-0.ts", b"403"),
            (VPN, "index.m3u8", b"403"), (SAN_DIEGO, "index.m3u8", b"200"),
        ):  # fmt: skip
            one.sendall((request % (name, address)).encode())
            head = b""
            while b"\r\n\r\n" not in head:
                head += one.recv(1 << 16)
            fields, _, body = head.partition(b"\r\n\r\n")
            assert fields.split(b" ")[1] == status, (address, name)
            left = int(fields.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]) - len(body)
            while left:
                left -= len(one.recv(left))


@pytest.mark.usefixtures("states")
def test_no_header_of_a_stranger_moves_anybody(server: Server) -> None:
    token = server.token(geo="states", session="claims", jti="claims")
    claims = {
        "X-Forwarded-For": SAN_DIEGO, "Forwarded": f"for={SAN_DIEGO}", "X-Real-IP": SAN_DIEGO,
        "CF-Connecting-IP": SAN_DIEGO, "True-Client-IP": SAN_DIEGO, "CF-IPCountry": "US",
    }  # fmt: skip
    answer = server.get(f"/hls/{token}/game/index.m3u8", claims)
    assert answer.problem["reason"] == "location_unknown"
    # Behind the proxy it is the entry that the proxy wrote.
    assert watch(server, token, f"{SAN_DIEGO}, {LONDON}") == "outside_territory"
    for odd in ("45.16.4.1.", "045.016.004.001", "::ffff:192.168.1.1", "unknown", ""):
        assert watch(server, token, odd) is not None, odd


def test_policies_are_operators_business_and_bounded(server: Server) -> None:
    for key in ("lko_" + "A" * 43, server.token(), "x"):
        assert put(server, POLICY, key).status == 401
    # Deep, wide, odd, and not a policy
    nested: Any = {"country": ["US"]}
    for _ in range(50):
        nested = {"any": [nested]}
    for where in (
        nested,
        {"country": ["US"] * 20_000},
        {"polygon": [[[0, 0], [1, 1]]]},
        {"polygon": [[[0, 0], [1e400, 1], [0, 1], [0, 0]]]},
        {"cidr": ["0.0.0.0/99"]},
        {"planet": ["mars"]},
    ):
        rules = [{"name": "bomb", "effect": "allow", "where": where}]
        answer = put(server, {"policy_id": "bomb", "watch": {"default": "deny", "rules": rules}})
        assert answer.status in (413, 422), where
        assert "watch" in answer.problem["detail"] or "JSON" in answer.problem["detail"] or answer.status == 413
    assert server.get("/api/v1/policies/bomb", {"Authorization": f"Bearer {server.keys.operator_key()}"}).status == 404


def test_a_policy_that_is_not_there_lets_nobody_in(server: Server) -> None:
    token = server.token(geo="lost", session="lost", jti="lost")
    assert watch(server, token, SAN_DIEGO) == "policy_unknown"
