"""Event patterns: what, seen together, means more than each of its events."""
