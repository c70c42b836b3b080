"""A child that works out arrays of numbers: its answer is a line of JSON, and what the arrays hold.

The line is an object: `pieces` has the arrays' sizes in bytes, in their order; `wrong` says what is wrong with what was
read, `failed` why it could not be; anything else is the child's own affair. It is taken in slices of 256 KiB, so that
an answer of any size costs the loop nothing that anybody notices.
"""

from __future__ import annotations

import asyncio
import json
import sys
from array import array
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from kernel.errors import DecodeError

TIMEOUT_S = 120.0
"""Two million lines of a list take three seconds on a machine that has nothing else to do; a large database ten."""

NICENESS = 10
"""Those who are served come first."""

_SLICE_BYTES = 256 << 10


def child_of(module: str) -> tuple[str, ...]:
    """Return the command that runs a module. -I: no PYTHON* variables, no current folder on the path."""
    return (sys.executable, "-I", "-B", "-m", module)


def write_packed(out: BinaryIO, head: Mapping[str, object], pieces: Sequence[bytes] | None = None) -> None:
    """Write an answer; without pieces it is one that says what is wrong."""
    sizes = {} if pieces is None else {"pieces": [len(piece) for piece in pieces]}
    out.write(json.dumps({**head, **sizes}).encode() + b"\n")
    for piece in pieces or ():
        out.write(piece)
    out.flush()


async def packed(
    command: Sequence[str], codes: str, *, pass_fds: Sequence[int] = (), timeout_s: float | None = None
) -> tuple[Mapping[str, Any], list[array[int]]]:
    """Run a child, and return the line and the arrays that it answers.

    Args:
        command: what to run.
        codes: the arrays' types.
        pass_fds: file descriptors that it inherits, by the same numbers.
        timeout_s: after how many seconds it is ended; None: `TIMEOUT_S`.

    Raises:
        DecodeError: what it read is wrong.
        OSError: it could not read it, has died, or takes too long.
    """
    limit_s = TIMEOUT_S if timeout_s is None else timeout_s
    child = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        pass_fds=pass_fds,
    )  # fmt: skip
    assert child.stdout is not None
    try:
        async with asyncio.timeout(limit_s):
            told = await _taken(child.stdout, codes)
            # It has said everything and ends by itself: ending it would take its exit from whoever waits for that.
            await child.wait()
            return told
    except TimeoutError:
        raise OSError(f"reading it took more than {limit_s:.0f} s") from None
    except (ValueError, KeyError, TypeError, EOFError):
        # EOFError: IncompleteReadError is one.
        raise OSError("the process that reads it has died") from None
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


async def _taken(answer: asyncio.StreamReader, codes: str) -> tuple[Mapping[str, Any], list[array[int]]]:
    head = json.loads(await answer.readline())
    if "wrong" in head:
        raise DecodeError(head["wrong"])
    if "failed" in head:
        raise OSError(head["failed"])
    parts = [array(code) for code in codes]
    for part, size in zip(parts, head["pieces"], strict=True):
        for at in range(0, size, _SLICE_BYTES):
            part.frombytes(await answer.readexactly(min(_SLICE_BYTES, size - at)))
    return head, parts
