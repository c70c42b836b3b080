"""From the origin's segments and the vendors' messages to sealed entries and release marks."""
