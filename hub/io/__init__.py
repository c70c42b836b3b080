"""The hub's contact with the world: its sockets, the bus, one timer."""
