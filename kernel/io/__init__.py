"""The kernel's contact with the world: the clock, the bus, the one fetcher, the front door's HTTP."""
