"""What operators are told of a session: on what device it plays, from which network, and where that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.binding import network_of
from relay.devices import device_of
from relay.sessions.networks import NETWORK

if TYPE_CHECKING:
    from kernel.decisions import Whence
    from kernel.tokens import Claims
    from relay.place.model import IpPlace
    from relay.sessions.model import About

DEVICE, PLACE, FINGERPRINT = "device", "place", "fingerprint"


def about_of(claims: Claims, whence: Whence, place: IpPlace) -> About:
    """Return what there is to tell of a session that asks from there; what is not known is left out.

    Args:
        claims: the session's; a fingerprint stands there as its hash.
        whence: where the request comes from: of its address only the network is kept.
        place: what is known of the address.
    """
    known = [place.city, place.region or place.country]
    told = {
        DEVICE: str(device_of(whence.agent)) if whence.agent is not None else "",
        NETWORK: network_of(whence.address),
        PLACE: ", ".join(part for part in known if part),
        FINGERPRINT: claims.fingerprint or "",
    }
    return {name: text for name, text in told.items() if text}
