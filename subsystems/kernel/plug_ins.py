"""What projects installed beside the platform announce by entry points."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from importlib.metadata import entry_points

logger = logging.getLogger(__name__)


def loaded(group: str) -> Iterator[tuple[str, object]]:
    """Yield the name and object of each entry point of *group*. A broken one is logged and left out."""
    for point in entry_points(group=group):
        try:
            found = point.load()
        except Exception:  # a stranger's code: it stops nothing else
            logger.exception("The plug-in %s (%s) of %s could not be loaded.", point.name, point.value, group)
        else:
            yield point.name, found


def load(group: str) -> None:
    """Import what *group* names, for what importing it registers."""
    for _ in loaded(group):
        pass
