"""What `lockstep demo` shows: a match of our own, its pictures, its vendor, and the page to watch it on."""
