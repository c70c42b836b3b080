"""How fast a machine is beside the one for which figures in microseconds were set; PyJWT is the measure.

There PyJWT takes 29 to 42 us for a token of ours. A machine on which it takes three times as long runs everything else
of Python's at a third of the speed as well, so a figure is three times as large on it. PyJWT is timed in the same run
as what is judged by it (`bench.tokens.pyjwt_us`), and said with it. On a faster machine a figure stays what it is.
"""

from __future__ import annotations

PYJWT_US = 42.0
"""The most that PyJWT takes for a token where the figures come from: by the least one would be less strict."""


def figure_us(limit_us: float, ours_us: float, theirs_us: float) -> dict[str, object]:
    """Return a row's `figure` and `met`.

    Args:
        limit_us: the figure, in microseconds, where PyJWT takes `PYJWT_US`.
        ours_us: what was measured.
        theirs_us: what PyJWT takes in the same run.
    """
    here_us = limit_us * max(1.0, theirs_us / PYJWT_US)
    figure = f"<= {limit_us:g} us"
    if here_us > limit_us:
        figure = f"<= {here_us:.3g} us ({limit_us:g} where PyJWT takes {PYJWT_US:.0f}; here {theirs_us:.0f})"
    return {"figure": figure, "met": ours_us <= here_us, "pyjwt_us": round(theirs_us, 1)}
