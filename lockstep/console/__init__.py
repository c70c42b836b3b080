"""The operators' console: pages under `/console`, made on the server."""
