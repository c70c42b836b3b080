"""Playlists from memory: what nearly every request asks for, answered without a task or a framework.

The gate is the same, the text is the same, and the bytes are those that `Hls` would send, kept until the text changes.
Whatever is not a playlist that is out, for a token that admits, is left to `Hls`: it knows how to say no.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from starlette.responses import Response

from kernel.blackouts import ZoneSet
from kernel.decisions import Admit, Scope, Verdict, Whence
from kernel.io.http import TellAnswered, bearer_token, redact_path, tell_answered
from kernel.tokens import Claims
from relay.io.driver import StreamRelay
from relay.io.headers import head_fields, playlist_response
from relay.request import HlsRequest, parse_path

MAX_KEPT = 1_024
"""Answers kept, one for each playlist, origin that may read it and zone set; they are as large as the playlists."""


MAX_TARGET_BYTES = 1_024
"""Of a request line that is answered here, and remembered; tokens of ours have 400."""


class PlaylistsAtOnce:
    """Answer for the playlists of all showings.

    Args:
        relays: what is open of each showing, by event id.
        admit: the gates.
        wall: the time of day in Unix seconds.
        now: seconds that never step back.
        tell: logs an answer.
        is_seated: whether somebody has a seat; None: nobody is counted.
    """

    def __init__(
        self,
        relays: Mapping[str, StreamRelay],
        *,
        admit: Admit,
        wall: Callable[[], float],
        now: Callable[[], float],
        tell: TellAnswered = tell_answered,
        is_seated: Callable[[Claims], bool] | None = None,
    ) -> None:
        self._is_seated = is_seated
        self._relays = relays
        self._admit = admit
        self._wall = wall
        self._now = now
        self._tell = tell
        self._kept: dict[tuple[str, str | None, str, ZoneSet], tuple[str, bytes, int]] = {}

    def forget(self) -> None:
        """Keep no answer any longer: who may read what has changed."""
        self._kept.clear()

    def __call__(self, target: bytes, headers: Sequence[tuple[bytes, bytes]], peer: str) -> bytes | None:
        """Return fields and body of a playlist that is out, if the request's token admits; else None."""
        if not target.endswith(b"/index.m3u8") or len(target) > MAX_TARGET_BYTES:
            return None
        began = self._now()
        named, shown = _named(target)
        relay = self._relays.get(named.event_id) if named is not None else None
        if named is None or relay is None:
            return None
        said = dict(headers)
        token = named.token or bearer_token({"authorization": said.get(b"authorization", b"").decode("latin-1")})
        whence = Whence(peer, said.get(b"user-agent", b"").decode("latin-1"))
        decision = self._admit(token, named.event_id, Scope.WATCH, now=self._wall(), whence=whence)
        if decision.verdict is not Verdict.ADMIT:
            return None
        if self._is_seated is not None and decision.claims is not None and not self._is_seated(decision.claims):
            return None
        text = relay.text(named.rendition, decision.zones)
        if text is None:
            return None
        origin = said.get(b"origin", b"").decode("latin-1") if relay.showing.allowed_origins else ""
        allowed = origin if origin in relay.showing.allowed_origins else ""
        key = (named.event_id, named.rendition, allowed, decision.zones)
        kept = self._kept.get(key)
        # The text is one object until it changes.
        if kept is None or kept[0] is not text:
            response = playlist_response(text)
            response.raw_headers.extend(head_fields(origin, relay.showing))
            kept = (text, _serialised(response), len(response.body))
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            self._kept[key] = kept
        self._tell("GET", shown, peer, self._now() - began, 200, kept[2])
        return kept[1]


@lru_cache(maxsize=4_096)
def _named(target: bytes) -> tuple[HlsRequest | None, str]:
    # A player asks for the same one every target duration.
    path = target.decode("latin-1")
    return parse_path(path), redact_path(path)


def _serialised(response: Response) -> bytes:
    fields = b"".join(b"%b: %b\r\n" % field for field in response.raw_headers)
    return fields + b"\r\n" + bytes(response.body)
