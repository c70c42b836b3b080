"""Which page shows a session's video, as far as browsers tell, and whether it may."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

MAX_REFERER_CHARS = 2_048
"""Browsers send the origin alone across sites; what is longer than a line of theirs says nothing."""

_HOST = re.compile(r"[a-z0-9.:-]{1,253}")


def foreign_page(referer: str, allowed: Sequence[str]) -> str | None:
    """Return the host of a page that may not show it, None where it may or nothing is known.

    Args:
        referer: the field Referer (RFC 9110, 10.1.3), empty without one: pages may leave it out, and players do.
        allowed: the showing's origins, such as "https://tv.example"; empty: any page may.
    """
    if not referer or not allowed or len(referer) > MAX_REFERER_CHARS:
        return None
    page = _host_of(referer)
    if page is None or any(page == _host_of(origin) for origin in allowed):
        return None
    return page


def is_host(page: str, hosts: Sequence[str]) -> bool:
    """Return whether a page's host is the one that was asked: `hosts` are what the field Host says."""
    return any(page == _host_of(f"//{host}") for host in hosts)


def _host_of(url: str) -> str | None:
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return None
    return host if host and _HOST.fullmatch(host) else None
