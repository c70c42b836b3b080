"""What we answer to what a client says. A reply is a map to be sent or a `Bye`, after which nothing is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog

from hub.admission import Admission
from hub.close_codes import Bye, CloseCode
from hub.cursor import cursor_text
from hub.messages import VERSION, session_map
from hub.playhead import MAX_INTERVAL_S, MAX_LEAD_MS, MIN_INTERVAL_S, Playhead, Report
from hub.requests import Auth, Fault, Ping, Pos, Sub, Unsub, Update, Wish, default_wish, parse, revised
from hub.subscriber import Filter, Phase, Subscriber
from kernel.decisions import Admit, Judge, Scope
from kernel.errors import DecodeError
from kernel.feed_state import Health
from kernel.tokens import Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from hub.settings import HubSettings
    from hub.stream import Stream
    from hub.subscriber import Mode
    from kernel.feed_state import FeedState

log = structlog.get_logger("hub")

_MODE_SCOPES: Mapping[Mode, Scope] = {"edge": Scope.SERVER, "realtime": Scope.TRADING}
"""What a mode takes beyond what opens the socket."""

_MS = 1000


Reply = Mapping[str, Any] | Bye


class Dialogue:
    """Answer clients by the protocol. `now` is bus time, `wall` Unix time, both in seconds.

    Args:
        streams: by event id.
        admit: decides on tokens.
        settings: limits and intervals.
        node: the name by which this hub goes on the wire.
        is_full: whether as many replays and snapshots wait as may.
    """

    def __init__(
        self,
        streams: Mapping[str, Stream],
        admit: Admit,
        settings: HubSettings,
        node: str,
        *,
        is_full: Callable[[], bool] = lambda: False,
    ) -> None:
        self._is_full = is_full
        self._streams = streams
        self._admission = Admission(streams, admit)
        self.grants = self._admission.grants
        self._settings = settings
        self._node = node
        self._limits = {
            "message_bytes": settings.max_message_bytes,
            "frames_per_s": settings.frames_per_s,
            "heartbeat_ms": [settings.min_heartbeat_ms, settings.max_heartbeat_ms],
            "auth_timeout_s": settings.auth_timeout_s,
            "resume_entries": settings.backlog_entries,
            "lead_ms": MAX_LEAD_MS,
            "pos_s": [MIN_INTERVAL_S, MAX_INTERVAL_S],
        }

    def greet(self, subscriber: Subscriber, token: str | None, origin: str | None, *, wall: float) -> list[Reply]:
        """Answer the handshake: `hello`, or the reason why not. Without a token a browser still has to send one."""
        settings, stream = self._settings, self._streams.get(subscriber.event_id)
        allowed = stream.showing.allowed_origins if stream is not None else ()
        # Told only after admission: a stranger learns nothing of a showing, not even that it exists.
        subscriber.origin_refused = origin is not None and bool(allowed) and origin not in allowed
        if token is not None and (refusal := self._admission.refusal(subscriber, token, wall)) is not None:
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
            "resume_s": int(settings.backlog_s),
            "limits": self._limits,
        }
        return [hello, *_warning(subscriber)]

    def receive(self, subscriber: Subscriber, data: bytes, *, now: float, wall: float) -> list[Reply]:
        """Answer one message."""
        try:
            message = parse(data, subscriber.format, self._settings)
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
        if isinstance(message, Pos):
            return self._report(subscriber, stream, message.report, now)
        if isinstance(message, Unsub):
            return self._unsubscribe(subscriber, stream)
        if self._is_full():
            return [Bye(CloseCode.OVERLOADED)]
        if isinstance(message, Update):
            return self._update(subscriber, stream, message, now, wall)
        return self._subscribe(subscriber, stream, message, now, wall)

    def review(self, subscriber: Subscriber, judge: Judge, now: float) -> Bye | None:
        """Ask again about a subscriber that has been admitted; return why it must go."""
        refusal = self._admission.review(subscriber, judge)
        if refusal is None and subscriber.inside != subscriber.zones:
            self._streams[subscriber.event_id].change_zones(subscriber, now)
        return refusal

    def heartbeat(
        self, subscriber: Subscriber, *, now: float, wall: float, hashed: bool = False, ahead: bool = False
    ) -> dict[str, Any]:
        """Return the `hb` of a subscriber; what it says is its own, never the stream's.

        `ahead` says that it overtakes cues that the cursor counts already: then it tells neither cursor nor hash.
        """
        stream = self._streams[subscriber.event_id]
        subscriber.told_may_wager = stream.may_wager_of(subscriber)
        hidden, known = subscriber.filter.hidden, stream.feeds
        message = {
            "op": "hb",
            "now": round(wall * _MS),
            "cur": None if ahead else _cur(stream, subscriber),
            "sent": subscriber.sent_in_all,
            # A source is monitored only once it says how often it speaks.
            "feeds": {
                source.name: known[source.name].state.value if source.name in known else Health.UNMONITORED.value
                for source in stream.showing.sources
                if source.name not in hidden
            },
            "sync": stream.sync,
            "behind_ms": stream.behind_ms(subscriber, now),
            "may_wager": subscriber.told_may_wager,
        }
        if hashed and not ahead and (known_hash := stream.hash_of(subscriber)) is not None:
            message["hash"] = known_hash
        return message

    def bye(self, subscriber: Subscriber, bye: Bye, retry_ms: int | None = None) -> dict[str, Any]:
        """Return the frame that precedes every close that we start."""
        message: dict[str, Any] = {"op": "bye", "code": int(bye.code), "reason": bye.reason or bye.code.text}
        if bye.code.reconnects:
            message["retry_ms"] = retry_ms if retry_ms is not None else self._settings.retry_ms
        stream = self._streams.get(subscriber.event_id)
        if stream is not None and (cur := _cur(stream, subscriber)) is not None:
            message["cur"] = cur
        return message

    def _report(self, subscriber: Subscriber, stream: Stream, report: Report, now: float) -> list[Reply]:
        if subscriber.phase is Phase.SUBSCRIBED and subscriber.mode != "viewer":
            return [_error("not_viewer", f"pos: {subscriber.mode} waits for no player; use the mode viewer")]
        if subscriber.playhead is None:
            subscriber.playhead = Playhead()
        subscriber.playhead.take(report, now)
        if subscriber.phase is Phase.SUBSCRIBED:
            stream.report(subscriber, now)
        return []

    def _authenticate(self, subscriber: Subscriber, token: str, now: float, wall: float) -> list[Reply]:
        refusal = self._admission.refusal(subscriber, token, wall)
        if refusal is not None:
            return [refusal]
        if subscriber.phase is not Phase.SUBSCRIBED:
            return _warning(subscriber)
        self._streams[subscriber.event_id].renew(subscriber)
        self._streams[subscriber.event_id].change_zones(subscriber, now)
        if subscriber.mode in _MODE_SCOPES and _MODE_SCOPES[subscriber.mode] not in subscriber.scopes:
            return [Bye(CloseCode.UNAUTHORIZED, Reason.SCOPE_MISSING.value)]
        if subscriber.filter.hidden != self.hidden_from(subscriber):
            # It may see less than before, or more: what it has been sent is another's.
            return [Bye(CloseCode.INSUFFICIENT_STATE, "scopes_changed")]
        stream = self._streams[subscriber.event_id]
        if subscriber.told_may_wager is not stream.may_wager_of(subscriber):
            return [self.heartbeat(subscriber, now=now, wall=wall)]
        return []

    def _subscribe(self, subscriber: Subscriber, stream: Stream, message: Sub, now: float, wall: float) -> list[Reply]:
        if subscriber.phase is Phase.SUBSCRIBED:
            return [_error("already_subscribed", "one socket, one subscription: send `update`, or `unsub` first")]
        if (refusal := self._refusal(subscriber, message.wish)) is not None:
            return [refusal]
        self._apply(subscriber, message.wish)
        subscriber.phase = Phase.SUBSCRIBED
        # Spread by the golden ratio: ten thousand who came at once do not beat at once.
        subscriber.heartbeat_at = now + subscriber.heartbeat_s * (0.5 + subscriber.number * 0.618034 % 1 / 2)
        subscriber.hash_at = now + self._settings.hash_interval_s * (subscriber.number * 0.618034 % 1)
        why = stream.join(subscriber, now, message.cur)
        resumed = message.cur is not None and why is None
        return [
            self._applied(subscriber, stream, message.wish, resumed=resumed, why=why),
            self.heartbeat(subscriber, now=now, wall=wall),
        ]

    def _update(self, subscriber: Subscriber, stream: Stream, message: Update, now: float, wall: float) -> list[Reply]:
        if subscriber.phase is not Phase.SUBSCRIBED:
            return [_error("not_subscribed", "there is nothing to update: send `sub`")]
        wish = revised(self._wish_of(subscriber), message.changes, self._settings)
        if (refusal := self._refusal(subscriber, wish)) is not None:
            return [refusal]
        was = (subscriber.mode, subscriber.filter)
        if subscriber.based and was == (wish.mode, self._filter_of(subscriber, wish)):
            stream.change_rate(subscriber, wish.conflate_ms, now)
            self._apply(subscriber, wish)
            stream.change_lead(subscriber, now)
            subscriber.heartbeat_at = min(subscriber.heartbeat_at, now + subscriber.heartbeat_s)
            return [self._applied(subscriber, stream, wish, resumed=True, why=None)]
        # What the new filter would have passed before is not known to have been sent: a snapshot says it.
        stream.leave(subscriber, plays_on=True)
        self._apply(subscriber, wish)
        subscriber.heartbeat_at = min(subscriber.heartbeat_at, now + subscriber.heartbeat_s)
        stream.join(subscriber, now)
        return [
            self._applied(subscriber, stream, wish, resumed=False, why="filter_changed"),
            self.heartbeat(subscriber, now=now, wall=wall),
        ]

    def _refusal(self, subscriber: Subscriber, wish: Wish) -> dict[str, Any] | None:
        scope = _MODE_SCOPES.get(wish.mode)
        if scope is None or scope in subscriber.scopes:
            return None
        return _error("scope_missing", f"mode: {wish.mode} takes a token with the scope `{scope}`; use viewer")

    def _apply(self, subscriber: Subscriber, wish: Wish) -> None:
        if wish.mode == "realtime" and not (subscriber.phase is Phase.SUBSCRIBED and subscriber.mode == "realtime"):
            # DESIGN 7: whoever sees facts ahead of their picture leaves a trace.
            log.warning("realtime.subscribed", event_id=subscriber.event_id, account=subscriber.account)
        subscriber.filter = self._filter_of(subscriber, wish)
        subscriber.mode = wish.mode
        subscriber.conflate_ms = wish.conflate_ms
        subscriber.heartbeat_s = wish.heartbeat_ms / _MS
        subscriber.lead_ms = wish.lead_ms

    def _filter_of(self, subscriber: Subscriber, wish: Wish) -> Filter:
        return Filter(wish.types, self.hidden_from(subscriber), wish.markets, wish.teams)

    def hidden_from(self, subscriber: Subscriber) -> frozenset[str]:
        """Return the sources of its showing that a subscriber may not see."""
        if subscriber.sees_trading:
            return frozenset()
        sources = self._streams[subscriber.event_id].showing.sources
        return frozenset(source.name for source in sources if source.audience == "trading")

    def _wish_of(self, subscriber: Subscriber) -> Wish:
        wanted = subscriber.filter
        return replace(
            default_wish(self._settings),
            mode=subscriber.mode,
            types=wanted.types,
            markets=wanted.markets,
            teams=wanted.teams,
            conflate_ms=subscriber.conflate_ms,
            heartbeat_ms=round(subscriber.heartbeat_s * _MS),
            lead_ms=subscriber.lead_ms,
        )

    def _applied(
        self, subscriber: Subscriber, stream: Stream, wish: Wish, *, resumed: bool, why: str | None
    ) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "op": "sub",
            "mode": wish.mode,
            "types": _sorted(wish.types),
            "markets": _sorted(wish.markets),
            "teams": _sorted(wish.teams),
            "conflate_ms": wish.conflate_ms,
            "heartbeat_ms": wish.heartbeat_ms,
            "lead_ms": wish.lead_ms,
            "epoch": stream.epoch,
            "cur": _cur(stream, subscriber),
            "resumed": resumed,
        }
        if why is not None:
            answer["why"] = why
        return answer

    def _unsubscribe(self, subscriber: Subscriber, stream: Stream) -> list[Reply]:
        if subscriber.phase is not Phase.SUBSCRIBED:
            return [_error("not_subscribed", "there is nothing to unsubscribe from")]
        stream.leave(subscriber)
        subscriber.phase = Phase.ADMITTED
        return [{"op": "unsub"}]


def feed_map(state: FeedState) -> dict[str, Any]:
    """Return what is told of a source whose health has changed."""
    return {"op": "feed", "source": state.source, "state": state.state.value, "why": state.why}


def _warning(subscriber: Subscriber) -> list[Reply]:
    """Say to somebody who comes in that its session has to go; who is in has been told."""
    return [] if subscriber.ending is None else [session_map(subscriber.ending)]


def _cur(stream: Stream, subscriber: Subscriber) -> str | None:
    cursor = stream.cursor_of(subscriber)
    return cursor_text(stream.epoch or "", cursor, subscriber.wish) if cursor is not None else None


def _sorted(names: frozenset[Any] | None) -> list[Any] | None:
    return sorted(names) if names is not None else None


def _error(code: str, reason: str) -> dict[str, Any]:
    return {"op": "error", "code": code, "reason": reason}
