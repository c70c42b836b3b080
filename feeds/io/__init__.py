"""Feeds' contact with the world: the origin, the child process, the vendors' webhooks, the journal."""
