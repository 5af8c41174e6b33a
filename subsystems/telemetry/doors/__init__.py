"""Decoders of what senders push, one per format; all of them end in a table."""
