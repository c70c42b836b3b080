"""What there is to measure, each house's in a file of its own."""
