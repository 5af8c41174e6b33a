"""The views: parse, call one verb, render."""
