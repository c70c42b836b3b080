"""Send many away at once: first nobody gets anything more, then all are told why."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Protocol

import structlog

from hub.close_codes import Bye, CloseCode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hub.io.socket import Socket
    from hub.subscriber import Subscriber

log = structlog.get_logger("hub")

STEP = 200
"""How many sockets are dismissed in one turn of the loop: some 5 ms."""

CUT: frozenset[CloseCode] = frozenset({
    CloseCode.REVOKED, CloseCode.GEO_BLOCKED, CloseCode.VPN_BLOCKED, CloseCode.BLACKOUT, CloseCode.EVICTED,
    CloseCode.SESSION_LIMIT,
})  # fmt: skip
"""Who goes for one of these has nothing more to get: what it does not take at once is dropped."""


class Host(Protocol):
    """Whose sockets they are."""

    @property
    def sockets(self) -> Mapping[int, Socket]:
        """Return those that are there, by the number of their subscriber."""
        ...

    def close(self, socket: Socket, bye: Bye) -> None:
        """Close a connection, and say why."""
        ...

    def part(self, socket: Socket, bye: Bye) -> bytes | None:
        """Take a connection out of all that is sent; return its farewell, None if it has had it."""
        ...

    def say_goodbye(self, socket: Socket, farewell: bytes, bye: Bye) -> None:
        """Say it."""
        ...

    def cut(self, subscriber: Subscriber) -> None:
        """End a connection without a word."""
        ...

    def soon(self, call: Callable[[], None]) -> None:
        """Call something in the next turn of the loop."""
        ...


def dismiss(host: Host, numbers: Sequence[int], bye: Bye) -> None:
    """Close sockets; beyond a few hundred in several turns of the loop, so that the others get their cues.

    Args:
        host: whose they are.
        numbers: of their subscribers.
        bye: why.
    """
    if len(numbers) <= STEP:
        for number in numbers:
            if (socket := host.sockets.get(number)) is not None:
                host.close(socket, bye)
        return
    log.info("subscribers.closed", count=len(numbers), code=int(bye.code), reason=bye.reason or bye.code.text)
    _silence(host, deque(numbers), bye, deque())


def hasten(subscriber: Subscriber, *, by: float) -> None:
    """Have a connection cut at bus time `by` that was told something else before: what is on its way is no more for it.

    One that is cut already stays so.
    """
    if subscriber.close_by is not None:
        subscriber.revoked = True
        subscriber.close_by = min(subscriber.close_by, by)


def _silence(host: Host, numbers: deque[int], bye: Bye, parted: deque[tuple[Socket, bytes]]) -> None:
    """Take the next few out of all that is sent; once all are, say the farewells."""
    for _ in range(min(STEP, len(numbers))):
        # In a later turn some have gone by themselves.
        socket = host.sockets.get(numbers.popleft())
        if socket is None or (farewell := host.part(socket, bye)) is None:
            continue
        if bye.code in CUT and socket.subscriber is not None and socket.transport.get_write_buffer_size():
            # The farewell would come behind what is not to arrive.
            host.cut(socket.subscriber)
        else:
            parted.append((socket, farewell))
    if numbers:
        host.soon(partial(_silence, host, numbers, bye, parted))
    else:
        host.soon(partial(_see_off, host, parted, bye))


def _see_off(host: Host, parted: deque[tuple[Socket, bytes]], bye: Bye) -> None:
    """Say the next few farewells."""
    for _ in range(min(STEP, len(parted))):
        socket, farewell = parted.popleft()
        if socket.subscriber is not None and socket.subscriber.number in host.sockets:
            host.say_goodbye(socket, farewell, bye)
    if parted:
        host.soon(partial(_see_off, host, parted, bye))
