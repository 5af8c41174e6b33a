"""What is stuck in a fleet: pure functions from what was observed to what is found, with the evidence."""
