"""Sending what `/metrics` shows to those who do not scrape: which targets there are, and one delivery per period."""
