"""Where somebody is, and whether they may watch or wager from there: addresses, rules, positions. All of it pure."""
