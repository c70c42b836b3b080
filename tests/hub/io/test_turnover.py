from __future__ import annotations

from typing import TYPE_CHECKING, cast

from hub.io.turnover import inside, misfits
from hub.settings import HubSettings
from hub.subscriber import Filter, Phase, Subscriber

if TYPE_CHECKING:
    from hub.io.socket import Socket

SETTINGS = HubSettings()


class Stub:
    """What is looked at of a socket."""

    def __init__(self, number: int, event_id: str, phase: Phase, hidden: frozenset[str] = frozenset()) -> None:
        self.subscriber = Subscriber(number, event_id, SETTINGS, 0.0)
        self.subscriber.phase = phase
        self.subscriber.filter = Filter(types=None, hidden=hidden)


def sockets(*stubs: Stub) -> dict[int, Socket]:
    return {stub.subscriber.number: cast("Socket", stub) for stub in stubs}


def test_those_who_were_admitted_are_inside() -> None:
    all_ = sockets(
        *(Stub(number, "game", phase) for number, phase in enumerate(Phase)), Stub(9, "cup", Phase.SUBSCRIBED)
    )
    found = [one.subscriber.number for one in inside(all_, "game") if one.subscriber is not None]
    assert found == [Phase.ADMITTED, Phase.SUBSCRIBED]


def test_who_sees_what_is_to_be_hidden_or_not_what_is_shown_is_a_misfit() -> None:
    desk = frozenset({"desk"})
    all_ = sockets(
        Stub(1, "game", Phase.SUBSCRIBED), Stub(2, "game", Phase.SUBSCRIBED, desk), Stub(3, "game", Phase.ADMITTED),
        Stub(4, "cup", Phase.SUBSCRIBED),
    )  # fmt: skip
    assert misfits(all_, "game", lambda _: desk) == [1]
    assert misfits(all_, "game", lambda _: frozenset()) == [2]
