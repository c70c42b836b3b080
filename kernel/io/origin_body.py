"""Take in one body over as many connections as it takes, or fail: never a piece for the whole.

An upstream that dies in mid-body is asked for the rest (RFC 9110, 14.2), provided it said which version of the
resource it was sending, strongly enough to put pieces of two answers together (RFC 9110, 13.1.5 and 15.3.7): a
strong ETag, or a Last-Modified that lies far enough back together with the total length. If-Range makes a server
that has another version by now send all of it, with which we begin anew.

A body that ends with its connection (RFC 9112, 6.3: neither Content-Length nor chunks) has no length that could be
checked; it is complete unless the connection breaks.
"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from kernel.errors import OriginError, OriginMissing, OriginRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")

MAX_VALIDATOR_CHARS = 1_024
"""An ETag is a hash or a date with a length; what goes back in a request's head must not outgrow a server's limit."""


class Intake:
    """Put one body together.

    Args:
        shown: the reference, fit for errors.
        limit_bytes: a larger body is refused, before it is read where its length is announced.
        byte_range: offset and length; None for all of it.
    """

    def __init__(self, shown: str, limit_bytes: int, byte_range: tuple[int, int] | None = None) -> None:
        self.etag: str | None = None
        self.content_type: str | None = None
        self._shown = shown
        self._limit_bytes = limit_bytes
        self._range = byte_range
        self._body = bytearray()
        self._offset = byte_range[0] if byte_range else 0
        self._total: int | None = None
        self._validator: str | None = None
        self._last_modified: str | None = None
        self._begun = False
        self._whole = False

    @property
    def resumable(self) -> bool:
        """Return whether the rest can be asked for: something was begun, and its version is known."""
        return self._begun and self._validator is not None

    def request_fields(self) -> dict[str, str]:
        """Return the fields of the next request: which bytes, and of which version."""
        fields: dict[str, str] = {}
        if self._range is not None:
            fields["Range"] = f"bytes={self._offset + len(self._body)}-{self._offset + self._range[1] - 1}"
        elif self._begun:
            fields["Range"] = f"bytes={len(self._body)}-"
        if self._begun and self._validator is not None:
            fields["If-Range"] = self._validator
        return fields

    def begin(self, status: int, fields: Mapping[str, str]) -> None:
        """Look at an answer's head, the first one or that of the rest.

        Raises:
            OriginMissing: 404 or 410.
            OriginRefused: the body is too large.
            OriginError: another status, an encoding, or a part that does not fit.
        """
        if status in (404, 410):
            raise OriginMissing(f"{self._shown}: the origin answers {status}")
        asked_for_a_part = self._range is not None or self._begun
        if status != 200 and not (status == 206 and asked_for_a_part):
            raise OriginError(f"{self._shown}: the origin answers {status}")
        if fields.get("content-encoding", "identity").lower() != "identity":
            raise OriginError(f"{self._shown}: the origin compresses, though asked not to")
        announced = fields.get("content-length", "")
        length = int(announced) if announced.isascii() and announced.isdecimal() else None
        if length is not None and len(self._body) * (status == 206) + length > self._limit_bytes:
            raise OriginRefused(f"{self._shown}: {length} bytes; at most {self._limit_bytes} are taken")
        if status == 206:
            self._part(fields, resumed=self._begun)
        else:
            # RFC 9110, 14.2 and 13.1.5: a server may ignore Range, and must where the version is another.
            self._body.clear()
            self._total = length
            self._whole = True
        if not self._begun or status == 200:
            self._know(fields)
        self._begun = True

    def take(self, piece: bytes) -> None:
        """Take the next bytes.

        Raises:
            OriginRefused: they are more than the limit.
        """
        self._body += piece
        if len(self._body) > self._limit_bytes:
            raise OriginRefused(f"{self._shown}: more than {self._limit_bytes} bytes")

    def body(self) -> bytes:
        """Return what was asked for.

        Raises:
            OriginError: it is shorter than it should be.
        """
        if self._range is not None:
            offset, length = self._range
            part = bytes(self._body[offset : offset + length] if self._whole else self._body)
            if len(part) != length:
                raise OriginError(f"{self._shown}: {len(part)} bytes of a range of {length}")
            return part
        if self._total is not None and len(self._body) != self._total:
            raise OriginError(f"{self._shown}: {len(self._body)} bytes of {self._total}")
        return bytes(self._body)

    def _part(self, fields: Mapping[str, str], *, resumed: bool) -> None:
        text = fields.get("content-range")
        if text is None and not resumed:
            # RFC 9110, 15.3.7 demands the field; the length alone will have to do.
            return
        match = _CONTENT_RANGE.fullmatch(text or "")
        if match is None or int(match[1]) != self._offset + len(self._body):
            raise OriginError(f"{self._shown}: the origin sends another part than the one asked for")
        total = None if match[3] == "*" else int(match[3])
        if resumed and not self._same_version(fields, total):
            raise OriginError(f"{self._shown}: it changed while it was read")
        self._total = total if self._total is None else self._total

    def _same_version(self, fields: Mapping[str, str], total: int | None) -> bool:
        """RFC 9110, 15.3.7.3: pieces may be put together only if all have the same strong validator."""
        if self._total is not None and total is not None and total != self._total:
            return False
        if self._validator == self.etag:
            return fields.get("etag", self.etag) == self.etag
        return total == self._total and fields.get("last-modified", self._last_modified) == self._last_modified

    def _know(self, fields: Mapping[str, str]) -> None:
        self.content_type = fields.get("content-type")
        self.etag = _short(fields.get("etag"))
        self._last_modified = _short(fields.get("last-modified"))
        self._validator = None
        if fields.get("accept-ranges", "").lower() == "none" or (self._whole and self._range is not None):
            # Those who send all of it instead of a part have nothing that could be put together.
            return
        if self.etag is not None and not self.etag.startswith("W/"):
            self._validator = self.etag
        elif self._total is not None and _is_strong(self._last_modified, fields.get("date")):
            self._validator = self._last_modified


def _short(validator: str | None) -> str | None:
    return validator if validator and len(validator) <= MAX_VALIDATOR_CHARS else None


def _is_strong(last_modified: str | None, date: str | None) -> bool:
    """RFC 9110, 8.8.2.2: a date tells versions apart only if nothing can have changed within the same second."""
    if last_modified is None or date is None:
        return False
    try:
        age = parsedate_to_datetime(date) - parsedate_to_datetime(last_modified)
    except (ValueError, TypeError, OverflowError):
        return False
    return age.total_seconds() >= 1
