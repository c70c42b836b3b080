"""Adapters: pure functions from a vendor's message to facts, one a module."""
