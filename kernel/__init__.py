"""What at least two of the houses (feeds, hub, relay) need, and nothing else: pure values and contracts."""
