"""Python's cyclic garbage collector, set up for a process that holds ten thousand connections.

By default it looks at what is new at every 700 allocations, and at all there is at every 70,000; with ten thousand
connections the latter takes 0.3 s, in which nobody is sent anything. Little here needs it: connections are taken apart
when they are lost, so that almost all goes by counting references.
"""

from __future__ import annotations

import gc

THRESHOLDS = (10_000, 10, 50)
"""How many more objects were made than went before the youngest are looked at, and how many such looks before one at
the older ones, and at the oldest. Python's own are 700, 10, 10. A look at 10,000 takes 1 ms. Looks at what is old are
rare: at all there is one takes up to 0.8 s. More frequent ones at the young cost 10,000 handshakes a third more."""


def set_up_collector() -> None:
    """Set the collector up, once all that lives as long as the process has been made."""
    gc.collect()
    # What is loaded at start-up is no matter for the collector any more.
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
