"""Answer HLS requests: every playlist, segment, key and init section behind the same gates.

Order: the path's form, the gates, then what is there. A stranger learns nothing, not even which showings exist;
the holder of a valid signature learns the reason.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from urllib.parse import urljoin

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from kernel.blackouts import ZoneSet
from kernel.decisions import Decision, Verdict, Whence
from kernel.decisions import Scope as Purpose
from kernel.errors import DecodeError, OriginError, OriginMissing
from kernel.io.cut import connection_of
from kernel.io.http import bearer_token, peer_address, problem
from kernel.io.origin import Fetcher
from kernel.strict_json import VENDOR_LIMITS, decode, encode
from kernel.timeline import SegmentKey
from kernel.tokens import Claims, Reason
from relay.entitlements import Entitlements
from relay.gate import Gate
from relay.io.body import GrantedBody
from relay.io.driver import StreamRelay
from relay.io.flights import Flights
from relay.io.headers import head_fields, playlist_response
from relay.io.leak_watch import Fetch, LeakWatch
from relay.io.session_keeper import Denial, SessionKeeper
from relay.io.turns import Turns
from relay.playlist import Asset, Listed, extension
from relay.ranges import ByteRange, Unsatisfiable, parse_range
from relay.request import COOKIE, HlsRequest, parse_path

log = structlog.get_logger("relay")

MEDIA_TYPES = {
    ".ts": "video/mp2t",
    ".aac": "audio/aac",
    ".mp3": "audio/mpeg",
    ".ac3": "audio/ac3",
    ".m4s": "video/mp4",
    ".mp4": "video/mp4",
    ".cmfv": "video/mp4",
    ".cmfa": "audio/mp4",
    ".vtt": "text/vtt",
    ".bin": "application/octet-stream",
    ".json": "application/json",
}

STALE_RETRY_S = 2
"""When who is refused because revocations may have been missed should come again: the bus is asked every second."""

WARNING = "Lockstep-Warning"
"""The field that says why somebody who is let in might not have been: a reason, or `leaving`."""

ENDS = "Lockstep-Session-Ends"
"""The field that says when a session that is `leaving` is cut, in Unix milliseconds."""

SEGMENT_MAX_AGE_S = 3_600
"""How long the viewer's own cache may keep a segment: it never changes. No shared cache may, for it was gated."""


class Hls:
    """Serve the windows of all showings.

    Args:
        relays: what is open of each showing, by event id.
        gate: decides on requests, and again on bodies under way.
        fetcher: the process's only one.
        wall: the time of day in Unix seconds.
        entitlements: begins sessions for those that the gate knows; None: it knows none.
        sessions: gives those who watch their seats; None: nobody is counted.
        leaks: watches who is no viewer; None: nobody does.

    `flights` are the connections with what is on its way: revocations end them.
    """

    def __init__(
        self,
        relays: Mapping[str, StreamRelay],
        *,
        gate: Gate,
        fetcher: Fetcher,
        wall: Callable[[], float],
        entitlements: Entitlements | None = None,
        sessions: SessionKeeper | None = None,
        leaks: LeakWatch | None = None,
    ) -> None:
        self._relays = relays
        self._sessions = sessions
        self._leaks = leaks
        self._entitlements = entitlements
        self.flights = Flights()
        self._gate = gate
        self._fetcher = fetcher
        self._wall = wall
        self._turns = Turns()

    def routes(self) -> list[Route]:
        """Return what the composition root mounts."""
        return [Route("/hls/{rest:path}", self)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI): a server may hand over whatever is below /hls/, without a framework in between."""
        try:
            if scope["method"] in ("GET", "HEAD", "OPTIONS"):
                response = await self._answer(Request(scope, receive))
            else:
                response = problem(405, "Method Not Allowed", headers={"Allow": "GET, HEAD, OPTIONS"})
        except Exception:
            log.exception("request.failed")
            response = problem(500, "Internal Server Error")
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        named = parse_path(request.scope["raw_path"].decode("ascii", "replace"))
        showing = self._relays[named.event_id].showing if named and named.event_id in self._relays else None
        allowed = head_fields(request.headers.get("origin"), showing)
        if request.method == "OPTIONS":
            response = Response(status_code=204)
            response.raw_headers.extend(allowed)
            return response
        if named is None:
            response = problem(404, "Not Found", detail="no such resource; playlists end in /index.m3u8")
        else:
            response = await self._gated(request, named)
        response.raw_headers.extend(allowed)
        return response

    async def _gated(self, request: Request, named: HlsRequest) -> Response:
        token = named.token or bearer_token(request.headers) or request.cookies.get(COOKIE)
        whence = Whence(peer_address(request.scope), request.headers.get("user-agent", ""))
        decision = self._gate(token, named.event_id, Purpose.WATCH, now=self._wall(), whence=whence)
        if self._sessions is not None and decision.admitted and not self._is_seated(named, decision):
            assert decision.claims is not None
            denial = await self._sessions.seat(decision.claims, whence, media=named.kind != "playlist")
            if denial is not None:
                return _denied(denial)
            # It waited, and may have to go already.
            decision = self._gate.decide(
                decision.claims, named.event_id, Purpose.WATCH, now=self._wall(), whence=whence
            )  # fmt: skip
        self._bind(request, decision, whence)
        if not decision.admitted:
            if decision.verdict is Verdict.REDIRECT and named.kind == "playlist" and named.rendition is None:
                return self._begun(decision, whence)
            return _refusal(decision)
        response = await self._admitted(request, named, decision, whence)
        if decision.ending is not None:
            response.headers[WARNING], response.headers[ENDS] = "leaving", str(decision.ending.at_ms)
        elif decision.verdict is Verdict.WARN:
            response.headers[WARNING] = str(decision.reason)
        return response

    def _is_seated(self, named: HlsRequest, decision: Decision) -> bool:
        """Tell whether somebody who is let in needs no seat, or has one; what is asked for is a sign of life."""
        assert self._sessions is not None
        assert decision.claims is not None
        if named.event_id not in self._relays:
            return True  # there is nothing to be had
        if named.kind == "playlist":
            return self._sessions.is_seated(decision.claims)
        return self._sessions.touch(decision.claims)

    def _goes_on(self, claims: Claims) -> None:
        if self._sessions is not None:
            self._sessions.touch(claims)

    async def _admitted(self, request: Request, named: HlsRequest, decision: Decision, whence: Whence) -> Response:
        assert decision.claims is not None
        claims = decision.claims
        relay = self._relays.get(named.event_id)
        if relay is None:
            return problem(404, "Not Found", detail=f"there is no showing {named.event_id!r} here")
        if named.kind == "playlist":
            return _playlist(relay, named.rendition, decision)

        def granted() -> bool:
            if named.event_id not in self._relays:
                return False  # the showing has ended
            self._goes_on(claims)
            again = self._gate.decide(claims, named.event_id, Purpose.WATCH, now=self._wall(), whence=whence)
            return again.admitted and not (again.zones and dark(again.zones))

        def dark(zones: ZoneSet) -> bool:
            return named.key is not None and relay.is_dark(rendition, SegmentKey(*named.key), zones)

        rendition = named.rendition or ""
        if named.kind == "asset":
            asset = relay.asset(rendition, named.name, decision.zones)
            if asset is None:
                return problem(404, "Not Found", detail="nothing that is out needs that")
            return await self._media(request, asset, 0, granted)
        assert named.key is not None
        if named.tag is not None:
            return await self._redirected(request, named, relay, decision, whence)
        listed = relay.presentation.find(rendition, *named.key)
        if listed is None or listed.segment.gap or not _is_named(request, listed):
            # Unknown, gone and not yet released look the same: what is coming is nobody's business.
            return problem(404, "Not Found", detail="no such segment is out")
        if decision.zones and dark(decision.zones):
            return _refusal(replace(decision, verdict=Verdict.REFUSE, reason=Reason.BLACKOUT))
        asset = Asset(listed.ref, listed.segment.byte_range)
        whose = (claims.session or claims.jti, rendition, listed.key)
        if self._leaks is None:
            return await self._media(request, asset, listed.key.generation, granted, partial(relay.sent, whose))
        fetch = Fetch(
            self._leaks, request.scope, whence.address, claims, relay.showing, rendition, listed, relay.sent, whose
        )
        response = await self._media(request, asset, listed.key.generation, granted, fetch.sent)
        return self._leaks.marked(response, claims, listed) if self._leaks.told_of else response

    async def _redirected(
        self, request: Request, named: HlsRequest, relay: StreamRelay, decision: Decision, whence: Whence
    ) -> Response:
        """Answer with a segment of a redirect stream, for as long as it stands in for what is dark."""
        claims, key, rendition, tag = decision.claims, named.key, named.rendition or "", named.tag or ""
        assert claims is not None
        assert key is not None

        def granted() -> bool:
            if named.event_id not in self._relays:
                return False  # the showing has ended
            self._goes_on(claims)
            again = self._gate.decide(claims, named.event_id, Purpose.WATCH, now=self._wall(), whence=whence)
            return again.admitted and relay.redirected(rendition, tag, key, again.zones) is not None

        listed = relay.redirected(rendition, tag, key, decision.zones)
        if listed is None or listed.segment.gap or not _is_named(request, listed):
            return problem(404, "Not Found", detail="no such segment is out")
        # The hub is not told: it is no picture of this showing.
        asset = Asset(listed.ref, listed.segment.byte_range)
        return await self._media(request, asset, listed.key.generation, granted)

    def _begun(self, decision: Decision, whence: Whence) -> Response:
        """Send the holder of an entitlement to a session of its own: relative URIs inherit its token."""
        assert self._entitlements is not None
        assert decision.claims is not None
        token = self._entitlements.begin(decision.claims, whence, now=self._wall())
        if token is None:
            return problem(403, "Forbidden", reason=Reason.WRONG_PURPOSE, detail="its claims do not fit into a session")
        # RFC 9110, 15.4.3. Another GET begins another session, so nobody may keep the answer.
        location = f"/hls/{token}/{decision.claims.event_id}/index.m3u8"
        return Response(status_code=302, headers={"Location": location, "Cache-Control": "no-store"})

    def _bind(self, request: Request, decision: Decision, whence: Whence) -> None:
        connection = connection_of(request.scope)
        if connection is not None and decision.admitted and decision.claims is not None:
            # A refusal changes nothing: what an earlier answer still has in the buffers remains what it was.
            self.flights.bind(connection, decision.claims, whence, decision.zones)

    async def _media(
        self,
        request: Request,
        asset: Asset,
        generation: int,
        granted: Callable[[], bool],
        sent: Callable[[int, int, int], None] | None = None,
    ) -> Response:
        try:
            if asset.is_key:
                fetched = await self._fetcher.key(asset.ref, generation=generation)
            else:
                fetched = await self._fetcher.segment(asset.ref, generation=generation, byte_range=asset.byte_range)
        except OriginMissing:
            return problem(404, "Not Found", detail="the origin no longer has it")
        except OriginError as error:
            log.warning("origin.failed", error=str(error))
            return problem(502, "Bad Gateway", detail="the origin did not deliver", headers={"Retry-After": "1"})
        # All who waited for one fetch come back at once.
        await self._turns.next()
        if not granted():
            return problem(403, "Forbidden", detail="the grant ended while the origin was asked")
        body = memoryview(fetched.body if asset.base is None else absolute_assets(fetched.body, asset.base))
        etag = f'"{generation}-{len(body):x}-{request.scope["path"].rpartition("/")[2]}"'
        headers = {
            "Content-Type": _media_type(asset.ref, fetched.content_type),
            "Cache-Control": f"private, max-age={SEGMENT_MAX_AGE_S}, immutable",
            "Accept-Ranges": "bytes",
            "ETag": etag,
        }
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        # RFC 9110, 13.1.5 and 14.2: a range counts on GET only, and only if the representation is the one they know.
        known = request.headers.get("if-range", etag) == etag
        wanted = parse_range(request.headers.get("range"), len(body)) if known and request.method == "GET" else None
        if isinstance(wanted, Unsatisfiable):
            return problem(416, "Range Not Satisfiable", headers={"Content-Range": f"bytes */{len(body)}"})
        start, stop, status = 0, len(body), 200
        if isinstance(wanted, ByteRange):
            start, stop, status = wanted.start, wanted.stop, 206
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(body)}"

        def done(n_bytes: int) -> None:
            if sent is not None:
                sent(start, start + n_bytes, len(body))

        def is_here() -> bool:
            return connection is None or connection in self.flights

        part, connection = body[start:stop], connection_of(request.scope)
        cut = partial(self.flights.cut, connection) if connection is not None else None
        return GrantedBody(
            part, granted=granted, turns=self._turns, done=done, is_here=is_here, cut=cut, status_code=status,
            headers=headers, whole_bytes=len(body),
        )  # fmt: skip


def _playlist(relay: StreamRelay, rendition: str | None, decision: Decision) -> Response:
    text = relay.text(rendition, decision.zones)
    if text is not None:
        return playlist_response(text)
    if relay.is_blocked(rendition, decision.zones):
        return _refusal(replace(decision, verdict=Verdict.REFUSE, reason=Reason.BLACKOUT))
    if not relay.presentation.knows(rendition):
        return problem(404, "Not Found", detail="there is no such rendition")
    return problem(
        503, "Service Unavailable", detail="nothing of this showing is out yet", headers={"Retry-After": "1"}
    )


def absolute_assets(body: bytes, base: str) -> bytes:
    """Return an asset list (RFC 8216bis, appendix D.2) whose URIs no longer depend on where it stood.

    What is no such list goes out as it came: it is the player's to make sense of.
    """
    try:
        content = decode(body, VENDOR_LIMITS)
    except DecodeError:
        return body
    assets = content.get("ASSETS") if isinstance(content, dict) else None
    if not isinstance(assets, list):
        return body
    for asset in assets:
        if isinstance(asset, dict) and isinstance(asset.get("URI"), str):
            asset["URI"] = urljoin(base, asset["URI"])
    return encode(content).encode()


def _is_named(request: Request, listed: Listed) -> bool:
    """Tell whether the ending asked for is the segment's own: one resource has one name."""
    return str(request.scope["raw_path"], "ascii").endswith(extension(listed.ref))


def _media_type(ref: str, said: str | None) -> str:
    known = MEDIA_TYPES.get(extension(ref))
    return known or said or mimetypes.guess_type(ref)[0] or "application/octet-stream"


def _refusal(decision: Decision) -> Response:
    if decision.claims is None:
        # Missing and forged look the same; RFC 9110, 15.5.2 wants the challenge.
        return problem(401, "Unauthorized", headers={"WWW-Authenticate": "Bearer"})
    if decision.reason is Reason.STALE:
        # No fault of the token's: we do not know what has been revoked meanwhile.
        return _stale("nobody new is admitted at the moment")
    if decision.ending is not None:
        return _denied(Denial(Reason.EVICTED, decision.ending.code))
    return problem(403, "Forbidden", reason=decision.reason, detail=f"this token does not admit: {decision.reason}")


def _denied(denial: Denial) -> Response:
    """Answer the holder of a genuine token that has no seat."""
    if denial.reason is Reason.STALE:
        return _stale("it is not known at the moment who watches")
    headers = {} if denial.retry_s is None else {"Retry-After": str(denial.retry_s)}
    what = "this session had to go" if denial.reason is Reason.EVICTED else "as many watch on this account as may"
    return problem(403, "Forbidden", reason=denial.reason, detail=f"{what}: {denial.code}", headers=headers)


def _stale(detail: str) -> Response:
    return problem(
        503, "Service Unavailable", reason=Reason.STALE, detail=detail, headers={"Retry-After": str(STALE_RETRY_S)}
    )
