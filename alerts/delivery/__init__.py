"""Channels: how a notification gets to people, one file for each service; nothing else knows any of them."""
