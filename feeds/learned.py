"""What one timeline teaches the next, and a process the one that goes on after it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from feeds.dates_fit import DatesPrior


class Lag(NamedTuple):
    """How much later than it ends a segment arrives: the mean, the variance of that mean, and that of one segment."""

    mean_s: float
    var: float
    single_var: float


class Drift(NamedTuple):
    """How fast the dates' clock goes wrong, in seconds a second, and the standard deviation of that."""

    slope: float
    sigma: float


@dataclass(frozen=True, slots=True)
class Learned:
    """The ways of the dates, the latency, and the drift of the dates' clock where there is a clear one.

    `wrong_s` is by how much the dates are corrected at present: within a timeline that goes on, it stays.
    """

    dates: DatesPrior = field(default_factory=DatesPrior)
    lag: Lag | None = None
    drift: Drift | None = None
    wrong_s: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "rate": [self.dates.rate, self.dates.var_rate],
            "jitter_var": self.dates.jitter_var,
            "lag": None if self.lag is None else list(self.lag),
            "drift": None if self.drift is None else list(self.drift),
            "wrong_s": self.wrong_s,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Learned:
        """Read what `as_json` wrote.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        rate, var_rate = map(float, value["rate"])
        jitter_var = None if value["jitter_var"] is None else float(value["jitter_var"])
        return cls(
            DatesPrior(None, rate, var_rate, jitter_var),
            None if value["lag"] is None else Lag(*map(float, value["lag"])),
            None if value["drift"] is None else Drift(*map(float, value["drift"])),
            float(value["wrong_s"]),
        )
