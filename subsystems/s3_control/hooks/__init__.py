"""Webhooks: acts that somebody outside carries out, told by one signed request."""
