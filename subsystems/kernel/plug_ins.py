"""What projects installed beside the platform announce by entry points, and what of it could not be loaded."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec

logger = logging.getLogger(__name__)
_broken: dict[str, str] = {}


def loaded(group: str) -> Iterator[tuple[str, object]]:
    """Yield the name and object of each entry point of *group*. A broken one is logged and left out."""
    for point in entry_points(group=group):
        try:
            found = point.load()
        except Exception as error:  # noqa: BLE001  (a stranger's code: it stops nothing else)
            _note(f"{group}: {point.name} ({point.value})", error)
        else:
            yield point.name, found


def load(group: str) -> None:
    """Import what *group* names, for what importing it registers."""
    for _ in loaded(group):
        pass


def load_modules(name: str, packages: Iterable[str]) -> None:
    """Import the module *name* of each of *packages* that has one. A broken one is logged and left out."""
    for package in packages:
        module = f"{package}.{name}"
        try:
            if find_spec(module) is not None:
                import_module(module)
        except Exception as error:  # noqa: BLE001  (what one application does wrong must not silence the others)
            _note(module, error)


def broken() -> Mapping[str, str]:
    """Return what could not be loaded in this process, and why."""
    return dict(_broken)


def forget_broken() -> None:
    """Begin anew; for tests."""
    _broken.clear()


def _note(name: str, error: Exception) -> None:
    logger.exception("The plug-in %s could not be loaded.", name)
    _broken[name] = f"{type(error).__name__}: {error}"[:500]
