"""How many may watch at a time, on what, and who has to go."""
