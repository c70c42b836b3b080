"""The commands of `lockstep`, one a module; each imports what it needs when it runs."""
