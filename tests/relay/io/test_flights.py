from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from structlog.testing import capture_logs

from kernel.blackouts import Veil, Window, ZoneSet
from kernel.decisions import Decision, Ending, Scope, Verdict, Whence
from kernel.io.cut import Connection, connection_of
from kernel.revocation import Subject, SubjectKind
from kernel.tokens import Claims, Reason
from lockstep.guard import GuardedHttp
from relay.io.body import STEP_BYTES, GrantedBody
from relay.io.flights import REVIEWED_AT_ONCE, Flights
from relay.io.turns import Turns
from tests.support.tokens import claims

ANN, BOB = Subject(SubjectKind.ACCOUNT, "ann"), Subject(SubjectKind.ACCOUNT, "bob")


class Line:
    """A connection that keeps what is done with it."""

    def __init__(self) -> None:
        self.cuts = 0
        self.watchers: dict[Callable[[Connection], None], None] = {}

    def cut(self) -> None:
        self.cuts += 1
        self.lose()

    def when_lost(self, tell: Callable[[Connection], None]) -> None:
        self.watchers[tell] = None

    def lose(self) -> None:
        watchers, self.watchers = self.watchers, {}
        for tell in watchers:
            tell(self)


def test_a_revocation_cuts_whom_it_names_and_nobody_else() -> None:
    flights, first, second, other = Flights(), Line(), Line(), Line()
    flights.bind(first, claims())
    flights.bind(second, claims(jti="token-2"))
    flights.bind(other, claims(account="bob"))
    with capture_logs() as logs:
        flights.revoke(ANN)
    assert [line.cuts for line in (first, second, other)] == [1, 1, 0]
    assert [(line["event"], line["why"], line["count"]) for line in logs] == [("connections.cut", "revoked", 2)]
    assert len(flights) == 1
    flights.revoke(ANN)
    assert first.cuts == 1


def test_a_connection_that_is_gone_is_forgotten() -> None:
    flights, line = Flights(), Line()
    flights.bind(line, claims())
    flights.bind(line, claims())
    assert line in flights
    line.lose()
    assert line not in flights
    assert len(flights) == 0
    flights.revoke(ANN)
    assert line.cuts == 0


def test_whose_picture_has_become_dark_at_once_is_cut_and_nobody_else() -> None:
    now, later = Veil("now", Window(), "other", 1.0), Veil("later", Window(start=9.0), None, 1.0)
    since = Veil("since", Window(start=0.5), None, 1.0)
    flights, lines = Flights(), [Line() for _ in range(5)]
    zones: dict[str, ZoneSet] = {
        "dark": (later, now), "soon": (later,), "inside": (now,), "outside": (), "late": (since,),
    }  # fmt: skip
    for line, (session, inside) in zip(lines, zones.items(), strict=True):
        flights.bind(line, claims(session=session), zones=inside if session == "inside" else ())

    def judge(of: Claims, whence: Whence, scope: Scope) -> Decision:
        return Decision(Verdict.ADMIT, None, may_watch=True, may_wager=True, claims=of, zones=zones[of.session])

    list(flights.review(judge))
    assert [line.cuts for line in lines] == [1, 0, 0, 0, 1]


def test_the_last_answer_counts() -> None:
    flights, line = Flights(), Line()
    flights.bind(line, claims())
    flights.bind(line, claims(account="bob"))
    flights.revoke(ANN)
    assert line.cuts == 0
    flights.revoke(BOB)
    assert line.cuts == 1


def test_everything_can_be_ended() -> None:
    flights, lines = Flights(), [Line(), Line()]
    for line in lines:
        flights.bind(line, claims())
    flights.end_all()
    assert [line.cuts for line in lines] == [1, 1]
    assert len(flights) == 0


def test_a_review_cuts_whom_it_is_not_granted_any_more_and_pauses() -> None:
    flights = Flights()
    lines = [Line() for _ in range(REVIEWED_AT_ONCE + 2)]
    for number, line in enumerate(lines):
        flights.bind(line, claims(account="ann" if number % 2 else "bob"), Whence(f"192.0.2.{number % 256}", "player"))
    asked: list[Whence] = []

    def judge(claims: Claims, whence: Whence, scope: Scope) -> Decision:
        asked.append(whence)
        granted = claims.account == "bob"
        verdict = Verdict.ADMIT if granted else Verdict.REFUSE
        return Decision(verdict, None if granted else Reason.GEO_BLOCKED, granted, granted, claims)

    review = flights.review(judge)
    next(review)
    assert len(asked) == REVIEWED_AT_ONCE
    # It goes while the review pauses.
    lines[-1].lose()
    assert list(review) == []
    assert asked[:2] == [Whence("192.0.2.0", "player"), Whence("192.0.2.1", "player")]
    assert [line.cuts for line in lines[:-1]] == [number % 2 for number in range(len(lines) - 1)]
    assert len(flights) == sum(1 for number in range(len(lines)) if not number % 2)


def test_the_sessions_of_an_account_are_counted_once() -> None:
    flights = Flights()
    for session in ("s1", "s1", "s2"):
        flights.bind(Line(), claims(session=session))
    flights.bind(Line(), claims(session="s3", account="bob"))
    assert flights.sessions("ann", "game") == {"s1", "s2"}
    assert flights.sessions("ann", "other") == set()


class Door:
    """A real server with one large body, and a client that reads when it is told to."""

    def __init__(self) -> None:
        self.flights = Flights()
        self.sent = asyncio.Event()

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        connection = connection_of(scope)
        assert connection is not None
        self.flights.bind(connection, claims())

        async def watched(message: Any) -> None:
            # The last step is handed to the server; the application has nothing more to say.
            if not message.get("body") and message["type"] == "http.response.body":
                self.sent.set()
            await send(message)

        body = memoryview(bytes(STEP_BYTES + 1_000))
        await GrantedBody(body, granted=lambda: True, turns=Turns(), status_code=200, headers={})(
            scope, receive, watched
        )


async def received(*, revoked: bool) -> tuple[int, bool]:
    """Let the application finish, revoke or not, and return what the client gets and whether it was reset."""
    door, loop = Door(), asyncio.get_running_loop()
    config = uvicorn.Config(
        door.app, interface="asgi3", log_config=None, lifespan="off", http=GuardedHttp, access_log=False
    )
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.setblocking(False)
        await server.startup(sockets=[listening])
        await loop.sock_connect(client, listening.getsockname())
        await loop.sock_sendall(client, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        count, reset = 0, False
        try:
            while not door.sent.is_set():
                piece = await loop.sock_recv(client, 1_024)
                assert piece
                count += len(piece)
                await asyncio.sleep(0)
            if revoked:
                door.flights.revoke(ANN)
                assert len(door.flights) == 0
            while piece := await loop.sock_recv(client, 1_024):
                count += len(piece)
                await asyncio.sleep(0)
        except ConnectionResetError:
            reset = True
        await server.shutdown()
    return count, reset


async def test_the_last_bytes_of_a_body_are_cut_too() -> None:
    count, reset = await received(revoked=False)
    assert (count > STEP_BYTES + 1_000, reset) == (True, False)
    count, reset = await received(revoked=True)
    assert (count < STEP_BYTES, reset) == (True, True)


def test_a_session_is_cut_and_nobody_else() -> None:
    flights, first, second, other, alone = Flights(), Line(), Line(), Line(), Line()
    flights.bind(first, claims())
    flights.bind(second, claims(jti="renewed"))
    flights.bind(other, claims(session="session-2"))
    flights.bind(alone, claims(jti="token-3", session=""))
    flights.warn_session("session-1", Ending(5_000, "session_limit"))
    with capture_logs() as logs:
        flights.end_session("session-1", Reason.EVICTED, "session_limit")
    assert [line.cuts for line in (first, second, other, alone)] == [1, 1, 0, 0]
    assert [(line["event"], line["why"]) for line in logs] == [("connections.cut", "evicted")]
    flights.end_session("token-3", Reason.SESSION_LIMIT, "session_limit")
    assert alone.cuts == 1


def test_what_asks_for_something_else_is_not_cut_with_its_session() -> None:
    flights, line = Flights(), Line()
    flights.bind(line, claims())
    flights.let_go(line)
    assert line not in flights
    flights.end_session("session-1", Reason.EVICTED, "released")
    assert line.cuts == 0
    # Nor is it forgotten for good.
    flights.bind(line, claims())
    flights.end_session("session-1", Reason.EVICTED, "released")
    assert line.cuts == 1
