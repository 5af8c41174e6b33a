"""The Django admin of all rooms: its index in the order of the house, and the way from each row to its live page."""
