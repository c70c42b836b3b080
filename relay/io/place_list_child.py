"""Read a list of networks, as a process of its own: `python -m relay.io.place_list_child FILE`.

Two million lines take three seconds, in which a thread would keep the interpreter from the loop, five milliseconds at a
time. See `packed_child` for what comes out; the line has the list's `digest`.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from kernel.errors import DecodeError, MessageTooLarge
from relay.io.packed_child import NICENESS, write_packed
from relay.place.networks import MAX_LIST_BYTES, Networks, parse_list

DIGEST_CHARS = 16


def read_list(path: Path) -> tuple[str, Networks]:
    """Return the digest of a list (SHA-256, shortened), and its networks.

    Raises:
        DecodeError: it is none; the message names the line.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        body = file.read(MAX_LIST_BYTES + 1)
    if len(body) > MAX_LIST_BYTES:
        raise MessageTooLarge(f"{path} has more than {MAX_LIST_BYTES} bytes: split it")
    return hashlib.sha256(body).hexdigest()[:DIGEST_CHARS], parse_list(body, str(path))


def main() -> None:
    """Read the list that the command line names, and write it to standard output."""
    os.nice(NICENESS)
    try:
        digest, networks = read_list(Path(sys.argv[1]))
    except DecodeError as error:
        write_packed(sys.stdout.buffer, {"wrong": str(error)})
    except OSError as error:
        write_packed(sys.stdout.buffer, {"failed": error.strerror or str(error)})
    else:
        write_packed(sys.stdout.buffer, {"digest": digest}, networks.pack())


if __name__ == "__main__":
    main()
