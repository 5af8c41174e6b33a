"""What S2 remembers of clashes; the slots it judges are claimed below (`messaging.SlotRun`)."""
