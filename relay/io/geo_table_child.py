"""Make the table of a place database, as a process of its own: `python -m relay.io.geo_table_child FD NODES BITS V6`.

Four million networks take seconds, in which a thread would keep the interpreter from the loop, five milliseconds at a
time. The database is the one that is in memory already, by its file descriptor. See `packed_child` for what comes out.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys

from kernel.errors import DecodeError
from relay.io.packed_child import NICENESS, write_packed
from relay.place.geo_table import table_of
from relay.place.geo_tree import SearchTree


def main() -> None:
    """Read the database that the command line tells of, and write its table to standard output."""
    os.nice(NICENESS)
    copy, n_nodes, record_bits, holds_ipv6 = map(int, sys.argv[1:])
    try:
        with mmap.mmap(copy, 0, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as body:
            tree = SearchTree(body, n_nodes=n_nodes, record_bits=record_bits, holds_ipv6=bool(holds_ipv6))
            table = table_of(tree)
    except (DecodeError, ValueError, struct.error) as error:
        write_packed(sys.stdout.buffer, {"wrong": str(error)})
    except OSError as error:
        write_packed(sys.stdout.buffer, {"failed": error.strerror or str(error)})
    else:
        write_packed(sys.stdout.buffer, {}, table.pack())


if __name__ == "__main__":
    main()
