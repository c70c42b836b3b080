"""What we answer to what a client says. A reply is a map to be sent or a `Bye`, after which nothing is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hub.close_codes import CloseCode, code_of
from hub.cursor import cursor_text
from hub.messages import VERSION, Auth, Fault, Ping, Sub, Unsub, parse
from hub.subscriber import Filter, Phase, Subscriber
from kernel.decisions import Admit, Decision, Scope
from kernel.errors import DecodeError
from kernel.tokens import Reason

if TYPE_CHECKING:
    from hub.settings import HubSettings
    from hub.stream import Stream

_SCOPES = (Scope.WATCH, Scope.WAGER, Scope.SERVER, Scope.TRADING)
"""Any of them opens the socket; what may be subscribed depends on which."""

_MS = 1000


@dataclass(frozen=True, slots=True)
class Bye:
    """Close the connection. `reason` says more than the code's name only to holders of a valid signature."""

    code: CloseCode
    reason: str | None = None


Reply = Mapping[str, Any] | Bye


class Dialogue:
    """Answer clients by the protocol. `now` is bus time, `wall` Unix time, both in seconds."""

    def __init__(self, streams: Mapping[str, Stream], admit: Admit, settings: HubSettings, node: str) -> None:
        self._streams = streams
        self._admit = admit
        self._settings = settings
        self._node = node

    def greet(self, subscriber: Subscriber, token: str | None, origin: str | None, *, wall: float) -> list[Reply]:
        """Answer the handshake: `hello`, or the reason why not. Without a token a browser still has to send one."""
        settings, stream = self._settings, self._streams.get(subscriber.event_id)
        allowed = stream.showing.allowed_origins if stream is not None else ()
        # Told only after admission: a stranger learns nothing of a showing, not even that it exists.
        subscriber.origin_refused = origin is not None and bool(allowed) and origin not in allowed
        if token is not None and (refusal := self._admission(subscriber, token, wall)) is not None:
            return [refusal]
        known = stream if subscriber.phase >= Phase.ADMITTED else None
        hello = {
            "op": "hello",
            "v": VERSION,
            "node": self._node,
            "event_id": subscriber.event_id,
            "epoch": known.epoch if known is not None else None,
            "now": round(wall * _MS),
            "heartbeat_ms": settings.heartbeat_ms,
            "resume_s": 0,
            "limits": {
                "message_bytes": settings.max_message_bytes,
                "frames_per_s": settings.frames_per_s,
                "heartbeat_ms": [settings.min_heartbeat_ms, settings.max_heartbeat_ms],
                "auth_timeout_s": settings.auth_timeout_s,
            },
        }
        return [hello]

    def receive(self, subscriber: Subscriber, data: bytes, *, now: float, wall: float) -> list[Reply]:
        """Answer one text frame."""
        try:
            message = parse(data, self._settings)
        except DecodeError as error:
            return [Bye(CloseCode.BAD_FRAME, f"bad_frame: {error}")]
        match message:
            case Fault():
                return [_error(message.code, message.reason)]
            case Ping():
                return [{"op": "pong", "t": message.t, "now": round(wall * _MS)}]
            case Auth():
                return self._authenticate(subscriber, message.token, now, wall)
        if subscriber.phase < Phase.ADMITTED:
            return [_error("auth_required", "send `auth` with a token first")]
        stream = self._streams[subscriber.event_id]
        if isinstance(message, Unsub):
            return self._unsubscribe(subscriber, stream)
        return self._subscribe(subscriber, stream, message, now, wall)

    def heartbeat(self, subscriber: Subscriber, *, now: float, wall: float) -> dict[str, Any]:
        """Return the `hb` of a subscriber; what it says is its own, never the stream's."""
        stream = self._streams[subscriber.event_id]
        cursor = stream.cursor_of(subscriber)
        subscriber.told_may_wager = stream.may_wager and subscriber.may_wager
        hidden = subscriber.filter.hidden
        return {
            "op": "hb",
            "now": round(wall * _MS),
            "cur": cursor_text(stream.epoch or "", cursor) if cursor is not None else None,
            "sent": subscriber.sent,
            # A source is monitored only once it says how often it speaks.
            "feeds": {source.name: "unmonitored" for source in stream.showing.sources if source.name not in hidden},
            "sync": stream.sync,
            "behind_ms": stream.behind_ms(subscriber, now),
            "may_wager": subscriber.told_may_wager,
        }

    def bye(self, subscriber: Subscriber, bye: Bye, retry_ms: int | None = None) -> dict[str, Any]:
        """Return the frame that precedes every close that we start."""
        message: dict[str, Any] = {"op": "bye", "code": int(bye.code), "reason": bye.reason or bye.code.text}
        if bye.code.reconnects:
            message["retry_ms"] = retry_ms if retry_ms is not None else self._settings.retry_ms
        stream = self._streams.get(subscriber.event_id)
        cursor = stream.cursor_of(subscriber) if stream is not None else None
        if stream is not None and cursor is not None:
            message["cur"] = cursor_text(stream.epoch or "", cursor)
        return message

    def _authenticate(self, subscriber: Subscriber, token: str, now: float, wall: float) -> list[Reply]:
        refusal = self._admission(subscriber, token, wall)
        if refusal is not None:
            return [refusal]
        if subscriber.phase is not Phase.SUBSCRIBED:
            return []
        if subscriber.mode == "edge" and Scope.SERVER not in subscriber.scopes:
            return [Bye(CloseCode.UNAUTHORIZED, Reason.SCOPE_MISSING.value)]
        stream = self._streams[subscriber.event_id]
        if subscriber.told_may_wager is not (stream.may_wager and subscriber.may_wager):
            return [self.heartbeat(subscriber, now=now, wall=wall)]
        return []

    def _admission(self, subscriber: Subscriber, token: str, wall: float) -> Bye | None:
        decision = self._decide(token, subscriber.event_id, wall)
        claims = decision.claims
        if claims is None:
            return Bye(CloseCode.UNAUTHORIZED)
        if not decision.admitted:
            return Bye(code_of(decision.reason), str(decision.reason) if decision.reason is not None else None)
        if subscriber.event_id not in self._streams:
            return Bye(CloseCode.UNAUTHORIZED, "unknown_event")
        if subscriber.account is not None and subscriber.account != claims.account:
            return Bye(CloseCode.UNAUTHORIZED, "wrong_account")
        if subscriber.origin_refused:
            return Bye(CloseCode.ORIGIN_REFUSED)
        subscriber.admit(claims, may_wager=decision.may_wager)
        return None

    def _decide(self, token: str, event_id: str, wall: float) -> Decision:
        decision = self._admit(token, event_id, _SCOPES[0], now=wall)
        for scope in _SCOPES[1:]:
            if decision.reason is Reason.SCOPE_MISSING:
                decision = self._admit(token, event_id, scope, now=wall)
        return decision

    def _subscribe(self, subscriber: Subscriber, stream: Stream, message: Sub, now: float, wall: float) -> list[Reply]:
        if subscriber.phase is Phase.SUBSCRIBED:
            return [_error("already_subscribed", "one socket, one subscription: send `unsub` first")]
        if message.mode == "edge" and Scope.SERVER not in subscriber.scopes:
            return [_error("scope_missing", "mode: edge takes a token with the scope `server`; use viewer")]
        sources = stream.showing.sources
        hidden = frozenset(source.name for source in sources if source.audience == "trading")
        subscriber.mode = message.mode
        subscriber.filter = Filter(message.types, frozenset() if subscriber.sees_trading else hidden)
        subscriber.heartbeat_s = message.heartbeat_ms / _MS
        subscriber.phase = Phase.SUBSCRIBED
        # Spread by the golden ratio: ten thousand who came at once do not beat at once.
        subscriber.heartbeat_at = now + subscriber.heartbeat_s * (0.5 + subscriber.number * 0.618034 % 1 / 2)
        stream.join(subscriber, now)
        cursor = stream.cursor_of(subscriber)
        assert cursor is not None  # it has just joined
        answer: dict[str, Any] = {
            "op": "sub",
            "mode": message.mode,
            "types": sorted(message.types) if message.types is not None else None,
            "heartbeat_ms": message.heartbeat_ms,
            "epoch": stream.epoch,
            "cur": cursor_text(stream.epoch or "", cursor),
            "resumed": False,
        }
        if message.cur is not None:
            answer["why"] = "unsupported"
        return [answer, self.heartbeat(subscriber, now=now, wall=wall)]

    def _unsubscribe(self, subscriber: Subscriber, stream: Stream) -> list[Reply]:
        if subscriber.phase is not Phase.SUBSCRIBED:
            return [_error("not_subscribed", "there is nothing to unsubscribe from")]
        stream.leave(subscriber)
        subscriber.phase = Phase.ADMITTED
        return [{"op": "unsub"}]


def _error(code: str, reason: str) -> dict[str, Any]:
    return {"op": "error", "code": code, "reason": reason}
