"""The same bytes to many sockets by one system call: Linux's io_submit(2), as far as the kernel takes them at once.

A transport's `write` looks after what the kernel does not take, and costs a tenth of its system call and more for that.
A loop over write(2) costs less, but Python gives the interpreter away around each: while a thread computes, 1,000
writes took 37 to 85 ms that way, 14 to 23 by their transports. io_submit does them one after the other within one call
that keeps the interpreter, and tells of each how much was taken; a write to a socket is over when it returns.

Where the system does not offer it (another kernel or processor, a sandbox that forbids it, `fs.aio-max-nr` used up),
nothing is written here and the transports have it all.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import platform
import sys
from array import array
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Sequence

log = structlog.get_logger("hub")

DEPTH = 512
"""How many writes one call does. As many places of the system's `fs.aio-max-nr` are taken: 65,536 unless changed."""

_CALLS = {"x86_64": (206, 209, 208, 207), "aarch64": (0, 2, 4, 1)}
"""The numbers of io_setup, io_submit, io_getevents and io_destroy (Linux, asm/unistd.h)."""

_IOCB_WORDS = 8
"""How long a `struct iocb` is, in words of 8 bytes (Linux, uapi/linux/aio_abi.h)."""

_IOCB_CMD_PWRITEV = 8
_EVENT_WORDS = 4

# Keeps the interpreter: given away, it would have to be waited for.
_LIBC = ctypes.PyDLL(None, use_errno=True)
_syscall = _LIBC.syscall
_syscall.restype = ctypes.c_long
_word = ctypes.c_ulong


class Batch:
    """Some sockets, as io_submit takes them; good for as long as they are open."""

    __slots__ = ("_blocks", "pointers", "size")

    def __init__(self, files: Sequence[int], vector: int) -> None:
        self.size = len(files)
        blocks = array("Q", bytes(8 * _IOCB_WORDS * self.size))
        blocks[0::_IOCB_WORDS] = array("Q", range(self.size))
        blocks[2::_IOCB_WORDS] = array("Q", [_IOCB_CMD_PWRITEV | file << 32 for file in files])
        blocks[3::_IOCB_WORDS] = array("Q", [vector]) * self.size
        blocks[4::_IOCB_WORDS] = array("Q", [1]) * self.size
        first, _ = blocks.buffer_info()
        step = 8 * _IOCB_WORDS
        # The pointers point into the blocks.
        self._blocks = blocks
        self.pointers = array("Q", range(first, first + step * self.size, step))


class AtOnce:
    """Write the same bytes to many sockets. One per process; a child that was forked has none.

    Raises:
        OSError: the system does not offer it.
    """

    def __init__(self) -> None:
        numbers = _CALLS.get(platform.machine()) if sys.platform == "linux" and sys.maxsize > 2**32 else None
        if numbers is None:
            raise OSError(errno.ENOSYS, "io_submit is not known here")
        setup, self._submit, self._reap, self._destroy = numbers
        self._context = _word(0)
        self.is_fit = True
        """Whether it has always worked."""
        # A `struct iovec` that all writes share: what is written stands in one place.
        self._vector = array("Q", [0, 0])
        self._events = array("q", bytes(8 * _EVENT_WORDS * DEPTH))
        if _syscall(_word(setup), _word(DEPTH), ctypes.byref(self._context)) < 0:
            raise OSError(ctypes.get_errno(), "io_setup")

    def close(self) -> None:
        """Give its places back."""
        self.is_fit = False
        _syscall(_word(self._destroy), self._context)

    def batch(self, files: Sequence[int]) -> Batch:
        """Return sockets as they are to be given to `write`."""
        return Batch(files, self._vector.buffer_info()[0])

    def write(self, batch: Batch, data: bytes) -> list[tuple[int, int]]:
        """Write `data` to all of a batch; they are open and do not block.

        Returns:
            For each that did not take everything its index in the batch and how many bytes it took. What is wrong with
            a socket its transport finds out, when it is given the rest: here it has taken nothing.
        """
        text = ctypes.c_char_p(data)
        self._vector[0], self._vector[1] = ctypes.cast(text, ctypes.c_void_p).value or 0, len(data)
        short: list[tuple[int, int]] = []
        pointers, _ = batch.pointers.buffer_info()
        done = 0
        while done < batch.size:
            count = self._call(self._submit, min(DEPTH, batch.size - done), pointers + 8 * done)
            if count > 0:
                self._collect(count, len(data), short)
                done += count
            elif ctypes.get_errno() == errno.EBADF:
                short.append((done, 0))
                done += 1
            else:
                self.is_fit = False
                short += [(index, 0) for index in range(done, batch.size)]
                break
        return short

    def _call(self, number: int, count: int, pointers: int) -> int:
        taken: int = _syscall(_word(number), self._context, _word(count), _word(pointers))
        return taken

    def _collect(self, count: int, size: int, short: list[tuple[int, int]]) -> None:
        """Take what has become of `count` writes."""
        events, place = self._events, _word(self._events.buffer_info()[0])
        while count > 0:
            some = _syscall(_word(self._reap), self._context, _word(count), _word(count), place, None)
            if some < 0:
                if ctypes.get_errno() == errno.EINTR:
                    continue
                # Cannot be: they were submitted, so they were written.
                self.is_fit = False
                return
            results = events[2 : _EVENT_WORDS * some : _EVENT_WORDS]
            if results.count(size) != some:
                indices = events[0 : _EVENT_WORDS * some : _EVENT_WORDS]
                short += [(at, max(0, took)) for at, took in zip(indices, results, strict=True) if took != size]
            count -= some


@functools.cache
def at_once() -> AtOnce | None:
    """Return this process's, None where the system does not offer it."""
    try:
        return AtOnce()
    except OSError as error:
        log.info("fan_out.by_transports", reason=str(error))
        return None
