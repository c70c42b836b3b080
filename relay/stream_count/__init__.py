"""How many streams an account may have at a time, over all, by category and by asset; and what players say of it."""
