"""Who must go when a showing changes or ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub.subscriber import Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hub.io.socket import Socket
    from hub.subscriber import Subscriber


def inside(sockets: Mapping[int, Socket], event_id: str) -> list[Socket]:
    """Return the sockets of those who were admitted to a showing.

    Who was not is a stranger, and is not told that there was such a showing.
    """
    phases = (Phase.ADMITTED, Phase.SUBSCRIBED)
    return [
        socket
        for socket in sockets.values()
        if (one := socket.subscriber) is not None and one.event_id == event_id and one.phase in phases
    ]


def misfits(
    sockets: Mapping[int, Socket], event_id: str, hidden_from: Callable[[Subscriber], frozenset[str]]
) -> list[int]:
    """Return the numbers of subscribers from whom other sources are to be hidden than are."""
    return [
        one.number
        for socket in inside(sockets, event_id)
        if (one := socket.subscriber) is not None
        and one.phase is Phase.SUBSCRIBED
        and one.filter.hidden != hidden_from(one)
    ]
