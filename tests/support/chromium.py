"""The browser that pages are tried in: Debian's or the maker's, whichever is installed."""

from __future__ import annotations

import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


def find_chromium() -> str | None:
    """Return the path of its program, for Playwright's `executable_path`; None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)
