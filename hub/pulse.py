"""What a connection needs from time to time: heartbeats, pings, and the limits on how long it may wait."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from hub.close_codes import Bye, CloseCode
from hub.subscriber import Phase, Subscriber

if TYPE_CHECKING:
    from hub.settings import HubSettings


class Beat(Enum):
    """What is to be done for a connection now."""

    HEARTBEAT = auto()
    PING = auto()
    ABORT = auto()


def beat(
    subscriber: Subscriber, settings: HubSettings, *, now: float, wall: float, buffered_bytes: int
) -> list[Beat | Bye]:
    """Return what is due for a connection at bus time `now`; `buffered_bytes` wait in its socket."""
    if subscriber.phase is Phase.CLOSING:
        return [Beat.ABORT] if subscriber.close_by is not None and now >= subscriber.close_by else []
    if subscriber.phase is Phase.GREETED and now >= subscriber.opened_at + settings.auth_timeout_s:
        return [Bye(CloseCode.AUTH_TIMEOUT)]
    if subscriber.phase >= Phase.ADMITTED and wall >= subscriber.ends:
        return [Bye(CloseCode.EXPIRED)]
    if _is_slow(subscriber, settings, now, buffered_bytes):
        return [Bye(CloseCode.SLOW)]
    due: list[Beat | Bye] = []
    if now >= subscriber.ping_at:
        # RFC 6455, 5.5.2: a ping serves to find out whether the other endpoint is still there.
        if subscriber.missed_pings >= settings.max_missed_pings:
            return [Beat.ABORT]
        subscriber.missed_pings += 1
        subscriber.ping_at = now + settings.ping_interval_s
        due.append(Beat.PING)
    if subscriber.phase is Phase.SUBSCRIBED and now >= subscriber.heartbeat_at:
        subscriber.heartbeat_at = now + subscriber.heartbeat_s
        if subscriber.paused_at is None:
            due.append(Beat.HEARTBEAT)
    return due


def next_beat(subscriber: Subscriber, settings: HubSettings, *, now: float, wall: float) -> float:
    """Return the bus time of the next beat."""
    if subscriber.phase is Phase.CLOSING:
        return subscriber.close_by if subscriber.close_by is not None else now
    if subscriber.phase is Phase.GREETED:
        return min(subscriber.opened_at + settings.auth_timeout_s, subscriber.ping_at)
    instants = [subscriber.ping_at, now + max(0.0, subscriber.ends - wall)]
    if subscriber.phase is Phase.SUBSCRIBED:
        instants.append(subscriber.heartbeat_at)
    if subscriber.paused_at is not None:
        # Looked at four times within the limit: what drained in between shows.
        instants.append(now + settings.slow_after_s / 4)
    return min(instants)


def _is_slow(subscriber: Subscriber, settings: HubSettings, now: float, buffered_bytes: int) -> bool:
    """Judge by time without draining: even a healthy reader is paused by a long replay."""
    if subscriber.paused_at is None:
        return False
    if buffered_bytes < subscriber.buffer_mark:
        subscriber.buffer_mark = buffered_bytes
        subscriber.paused_at = now
    return now >= subscriber.paused_at + settings.slow_after_s
