"""Showings that come, change and go while everything runs."""
