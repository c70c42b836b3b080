"""The page of blackouts: which markets are dark when, what zones cover, and what holds at one point."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from starlette.responses import Response
from starlette.routing import Route

from kernel.dates import parse_date
from kernel.errors import DecodeError, PlaylistError
from kernel.showings import Showing
from lockstep.console.darkness import (
    BlackoutAnswer,
    Shade,
    answers_for,
    is_open,
    market_shades,
    shapes,
    window_words,
    zone_words,
)
from lockstep.console.door import ConsoleDoor, Visit
from lockstep.console.pages import PREFIX
from lockstep.console.projection import PAPERS, US, Paper
from relay.blackouts import Blackout, BlackoutIndex, home_of
from relay.operators import OperatorScope
from relay.place.addresses import parse_address
from relay.place.model import Fix, IpPlace, Point, known_place
from relay.whereabouts import Locates

FIELDS = ("event", "at", "view", "lat", "lon", "address", "region", "postcode", "home")
MAX_CHARS = 64
"""Of whatever is asked: an IPv6 address has 39."""


class Asked(NamedTuple):
    """What is asked of a point.

    Args:
        place: what is known of the address.
        fix: what the device says of its position.
        home: what is known of the account's home.
        point: what is marked on the map.
    """

    place: IpPlace
    fix: Fix | None
    home: IpPlace
    point: Point | None


class MapPage:
    """Serve the page.

    Args:
        door: lets operators in.
        index: the blackouts.
        locator: knows where addresses are.
        showings: those that there are, by event id.
        wall: the time of day in Unix seconds.
    """

    def __init__(
        self, door: ConsoleDoor, index: BlackoutIndex, locator: Locates, showings: Mapping[str, Showing],
        *, wall: Callable[[], float],
    ) -> None:  # fmt: skip
        self._door = door
        self._index = index
        self._locator = locator
        self._showings = showings
        self._wall = wall

    def routes(self) -> list[Route]:
        """Return what the composition root mounts."""
        return [self._door.route("GET", f"{PREFIX}/map", self._map, OperatorScope.READ)]

    async def _map(self, visit: Visit) -> Response:
        query = visit.request.query_params
        said = {name: query.get(name, "").strip() for name in FIELDS}
        events = sorted(self._showings)
        # Those with blackouts first: of the others there is nothing to be seen.
        first = next((event for event in events if self._index.of(event)), events[0] if events else "")
        event = said["event"] or first
        blackouts, paper, wrong, asked = self._index.of(event), PAPERS.get(said["view"], US), "", None
        at = self._wall()
        try:
            at = time_of(said["at"], at)
            asked = self._asked(said, at)
        except DecodeError as error:
            wrong = str(error)
        answers = [] if asked is None else answers_for(blackouts, at, asked.place, asked.fix, asked.home)
        return self._door.page(
            visit, "map_seen.html" if visit.is_part else "map.html",
            here="map", said=said, events=events, event=event, at=at, paper=paper, wrong=wrong,
            dots=_dots(blackouts, at, paper), zones=_zones(blackouts, at, paper), asked=asked,
            mark=paper.place(asked.point) if asked is not None and asked.point is not None else None,
            answers=[_answer_told(answer) for answer in answers], verdict=_verdict(answers),
            blackouts=[_blackout_told(one, at) for one in blackouts],
        )  # fmt: skip

    def _asked(self, said: Mapping[str, str], at: float) -> Asked | None:
        if any(len(value) > MAX_CHARS for value in said.values()):
            raise DecodeError(f"at most {MAX_CHARS} characters are taken")
        point, address = point_of(said["lat"], said["lon"]), said["address"]
        if point is None and not address:
            return None
        postcode = said["postcode"].upper().replace(" ", "") or None
        home = home_of(said["home"] or None)
        if address:
            if parse_address(address) is None:
                raise DecodeError("Address: an IPv4 or IPv6 address is expected")
            found = self._locator.locate(address)
            place = known_place(
                found.address, country=found.country, region=found.region, city=found.city,
                postcode=postcode or found.postcode, point=found.point, accuracy_m=found.accuracy_m,
                metro=found.metro, asn=found.asn, classes=found.classes,
            ) if found.is_public else IpPlace(found.address, classes=found.classes, is_public=False)  # fmt: skip
            fix = None if point is None else Fix(point, 0.0, at)
            return Asked(place, fix, home, point or place.point)
        country, _, part = (said["region"] or "US").upper().partition("-")
        region = f"{country}-{part}" if part else None
        return Asked(
            known_place("", country=country or None, region=region, postcode=postcode, point=point, accuracy_m=0.0),
            None, home, point,
        )  # fmt: skip


def time_of(text: str, now: float) -> float:
    """Return a time that somebody chose, in Unix seconds; `now` if they chose none.

    Raises:
        DecodeError: it is none.
    """
    if not text:
        return now
    try:
        return parse_date(text if text.endswith("Z") else f"{text}Z" if text.count(":") == 2 else f"{text}:00Z")
    except PlaylistError:
        raise DecodeError("Time: a UTC time is expected, such as 2026-03-27T19:30") from None


def point_of(lat: str, lon: str) -> Point | None:
    """Return a point that somebody wrote; None if they wrote none.

    Raises:
        DecodeError: half of it is missing, or it is none.
    """
    if not lat and not lon:
        return None
    try:
        point = Point(float(lon), float(lat))
    except ValueError:
        raise DecodeError(
            "Latitude and longitude: two numbers in degrees are expected, such as 34.05 and -118.24"
        ) from None
    if not (-180 <= point.lon <= 180 and -90 <= point.lat <= 90):
        raise DecodeError("Latitude: -90 to 90; longitude: -180 to 180")
    return point


def _dots(blackouts: tuple[Blackout, ...], at: float, paper: Paper) -> list[dict[str, str]]:
    dots = []
    for market, shade, by in market_shades(blackouts, at):
        place = paper.place(market.point)
        if place is not None:
            dots.append({
                "x": f"{place[0]:.1f}", "y": f"{place[1]:.1f}", "shade": shade.value, "code": market.code,
                "name": market.name, "by": ", ".join(by),
            })  # fmt: skip
    # The dark ones on top.
    order = [Shade.CLEAR, Shade.SOME, Shade.REDIRECT, Shade.DARK]
    return sorted(dots, key=lambda dot: order.index(Shade(dot["shade"])))


def _zones(blackouts: tuple[Blackout, ...], at: float, paper: Paper) -> list[dict[str, object]]:
    zones: list[dict[str, object]] = []
    for one in blackouts:
        open_ = is_open(one, at)
        if open_ is False:
            continue
        zones += [
            {
                "paths": paper.paths(shape.rings),
                "states": shape.states,
                "kind": "some" if open_ is None else "redirect" if shape.redirect else "dark",
            }
            for shape in shapes(one)
        ]
    return zones


def _blackout_told(one: Blackout, at: float) -> dict[str, object]:
    return {
        "id": one.record.blackout_id, "by": one.record.by, "when": window_words(one.window),
        "open": is_open(one, at), "precedence": one.precedence, "understood": one.terms is not None,
        "zones": [
            (zone.name, zone_words(zone), zone.redirect) for zone in (one.terms.zones if one.terms is not None else ())
        ],
    }  # fmt: skip


def _answer_told(answer: BlackoutAnswer) -> dict[str, object]:
    return {
        **_blackout_told(answer.blackout, 0.0), "open": answer.open_, "inside": answer.inside, "hidden": answer.hidden,
        "redirect": answer.redirect,
        "why": [(zone.name, zone_words(zone), held) for zone, held in answer.zones],
    }  # fmt: skip


def _verdict(answers: list[BlackoutAnswer]) -> tuple[str, str]:
    """Return how dark it is, and in words."""
    inside = [answer for answer in answers if answer.inside and answer.open_ is not False]
    now = [answer for answer in inside if answer.open_]
    if now:
        name = now[0].blackout.record.blackout_id
        if now[0].redirect is not None:
            return "redirect", f"Sees {now[0].redirect} instead, by {name}"
        return "dark", f"Blocked by {name}"
    if inside:
        return "some", f"Inside {inside[0].blackout.record.blackout_id}, whose window is told by media time"
    return "clear", "Not blacked out"
