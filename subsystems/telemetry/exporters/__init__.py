"""Families as other systems take them: each module encodes for one protocol, in bodies of a bounded size."""
