"""What a record of a place database says, field by field: nothing in it is trusted to have its type, range or form.

Read are MaxMind's schemas (GeoIP2 and GeoLite2: Country, City, Enterprise, ASN, ISP, Anonymous-IP, Anonymous-Plus) and
DB-IP's, which keep close to them. What is odd counts as unknown, and the rest of the record as ever.

* Where a network is registered (`registered_country`), and whom it belongs to (`represented_country`), is not where its
  users are: without `country` they are nowhere.
* DB-IP's free database has no codes of regions: those of the United States and Canada are known by their names. It
  writes districts behind cities, "Toronto (Old Toronto)", which go. It has no metro codes, accuracy or postcodes.
* A position of exactly 0, 0 is what some write who have none.
"""

from __future__ import annotations

from collections.abc import Mapping

from relay.place.model import NOWHERE, Locality, NetworkClass, Point

MAX_ACCURACY_KM = 20_038
"""Half the equator: nobody is farther away."""

MAX_CITY_CHARS = 100
MAX_POSTCODE_CHARS = 16
MAX_ASN = (1 << 32) - 1  # RFC 6793

FLAGS: Mapping[str, NetworkClass] = {
    "is_anonymous_vpn": NetworkClass.VPN,
    "is_public_proxy": NetworkClass.PROXY,
    "is_tor_exit_node": NetworkClass.TOR,
    "is_hosting_provider": NetworkClass.DATA_CENTRE,
    "is_residential_proxy": NetworkClass.RESIDENTIAL_PROXY,
}
"""What a database of anonymous networks says, and what it means. Private relays are in none: lists name them."""


_NO_CLASS: frozenset[NetworkClass] = frozenset()
_HIDDEN = frozenset({NetworkClass.PROXY})


def city_facts(record: object, *, with_districts: bool = False) -> Locality:
    """Return what a record of a city, country or enterprise database says.

    Args:
        record: as the database has it, None for an address that it does not know.
        with_districts: whether it writes districts in brackets behind cities.
    """
    if type(record) is not dict:
        return NOWHERE
    country = _country(record.get("country"))
    location, postal, traits = record.get("location"), record.get("postal"), record.get("traits")
    point = accuracy_m = metro = None
    if type(location) is dict:
        point = _point(location.get("longitude"), location.get("latitude"))
        accuracy_km, metro_code = location.get("accuracy_radius"), location.get("metro_code")
        if point is not None and type(accuracy_km) is int and 0 < accuracy_km <= MAX_ACCURACY_KM:
            accuracy_m = accuracy_km * 1_000.0
        if type(metro_code) is int and 0 < metro_code <= 999:
            metro = str(metro_code)
    return Locality(
        country,
        None if country is None else _region(country, record.get("subdivisions")),
        _city(record.get("city"), with_districts=with_districts),
        _postcode(postal.get("code")) if type(postal) is dict else None,
        point,
        accuracy_m,
        metro,
        None if traits is None else asn_of(traits),
    )


def asn_of(record: object) -> int | None:
    """Return the autonomous system's number that a record of an ASN or ISP database gives, None without one."""
    if type(record) is not dict:
        return None
    number = record.get("autonomous_system_number")
    if number is None:
        return asn_of(record["traits"]) if "traits" in record else None
    return number if type(number) is int and 0 < number <= MAX_ASN else None


def classes_of(record: object) -> frozenset[NetworkClass]:
    """Return what a record of a database of anonymous networks says that an address belongs to.

    What is anonymous in no known way is taken for a proxy: it was not listed for being harmless.
    """
    if type(record) is not dict or not record:
        return _NO_CLASS
    found = frozenset(meaning for flag, meaning in FLAGS.items() if record.get(flag) is True)
    return found or (_HIDDEN if record.get("is_anonymous") is True else _NO_CLASS)


def _country(told: object) -> str | None:
    code = told.get("iso_code") if type(told) is dict else None
    return code if type(code) is str and len(code) == 2 and code.isascii() and code.isupper() else None


def _region(country: str, told: object) -> str | None:
    """Return the first subdivision, which is the largest, by its code or, where there is none, by its name."""
    first = told[0] if type(told) is list and told else None
    if type(first) is not dict:
        return None
    code = first.get("iso_code")
    if type(code) is str:
        # DB-IP's larger databases may write the country before it, as ISO 3166-2 has it.
        code = code.removeprefix(country + "-")
        return f"{country}-{code}" if 1 <= len(code) <= 3 and code.isascii() and code.isalnum() else None
    names, known = first.get("names"), _BY_NAME.get(country)
    name = names.get("en") if type(names) is dict and known is not None else None
    code = known.get(name) if known is not None and type(name) is str else None
    return None if code is None else f"{country}-{code}"


def _city(told: object, *, with_districts: bool) -> str | None:
    names = told.get("names") if type(told) is dict else None
    name = names.get("en") if type(names) is dict else None
    if type(name) is not str or not 0 < len(name) <= MAX_CITY_CHARS or not name.isprintable():
        return None
    if with_districts and name.endswith(")"):
        name = name.partition(" (")[0]
    return name or None


def _postcode(code: object) -> str | None:
    if type(code) is not str or not 0 < len(code) <= MAX_POSTCODE_CHARS or not code.isascii():
        return None
    if code.isalnum():
        return code.upper()
    code = code.replace(" ", "")
    return code.upper() if code.replace("-", "").isalnum() else None


def _point(lon: object, lat: object) -> Point | None:
    if not isinstance(lon, float | int) or not isinstance(lat, float | int):
        return None
    # What is no number compares as false.
    if not (-180 <= lon <= 180 and -90 <= lat <= 90) or lon == lat == 0:
        return None
    return Point(float(lon), float(lat))


_BY_NAME: Mapping[str, Mapping[str, str]] = {
    "US": {
        "Alabama": "AL", "Alaska": "AK", "Arizona": "AZ", "Arkansas": "AR", "California": "CA", "Colorado": "CO",
        "Connecticut": "CT", "Delaware": "DE", "District of Columbia": "DC", "Washington, D.C.": "DC", "Florida": "FL",
        "Georgia": "GA", "Hawaii": "HI", "Idaho": "ID", "Illinois": "IL", "Indiana": "IN", "Iowa": "IA",
        "Kansas": "KS", "Kentucky": "KY", "Louisiana": "LA", "Maine": "ME", "Maryland": "MD", "Massachusetts": "MA",
        "Michigan": "MI", "Minnesota": "MN", "Mississippi": "MS", "Missouri": "MO", "Montana": "MT", "Nebraska": "NE",
        "Nevada": "NV", "New Hampshire": "NH", "New Jersey": "NJ", "New Mexico": "NM", "New York": "NY",
        "North Carolina": "NC", "North Dakota": "ND", "Ohio": "OH", "Oklahoma": "OK", "Oregon": "OR",
        "Pennsylvania": "PA", "Rhode Island": "RI", "South Carolina": "SC", "South Dakota": "SD", "Tennessee": "TN",
        "Texas": "TX", "Utah": "UT", "Vermont": "VT", "Virginia": "VA", "Washington": "WA", "West Virginia": "WV",
        "Wisconsin": "WI", "Wyoming": "WY",
    },
    "CA": {
        "Alberta": "AB", "British Columbia": "BC", "Manitoba": "MB", "New Brunswick": "NB",
        "Newfoundland and Labrador": "NL", "Northwest Territories": "NT", "Nova Scotia": "NS", "Nunavut": "NU",
        "Ontario": "ON", "Prince Edward Island": "PE", "Quebec": "QC", "Saskatchewan": "SK", "Yukon": "YT",
    },
}  # fmt: skip
"""ISO 3166-2 by the English name, where bets and blackouts go by region."""
