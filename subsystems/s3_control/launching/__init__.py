"""Launchers: what starts and stops the workers of a fleet, as processes, systemd units, containers or pods."""
