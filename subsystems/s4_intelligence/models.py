"""What S4 remembers of the outside; empty until it has sources of its own."""
