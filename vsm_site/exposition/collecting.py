"""All families that a reader of some systems may see.

Reading the store gives the same answer from any process. Only fresh measurements are shown; what is unknown is absent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from subsystems.kernel.errors import TransientError
from subsystems.recursion.models import System
from subsystems.telemetry.families import Family, single
from vsm_site.exposition import operations, platform, systems
from vsm_site.exposition.bargains import bargained
from vsm_site.exposition.coordination import coordinated
from vsm_site.exposition.patterns import detected
from vsm_site.exposition.scope import Scope, scope_of
from vsm_site.exposition.variety import variety


def families(shown: Iterable[System], *, now: float) -> list[Family]:
    """Return the families of the systems *shown*; the platform's own health with the root system."""
    scope = scope_of(shown, now=now)
    found = [
        *systems.assessed(scope),
        *systems.scored(scope),
        *systems.counted(scope),
        *systems.signals(scope),
        *systems.messages(scope),
        *variety(scope),
        *coordinated(scope),
        *detected(scope),
        *bargained(scope),
    ]
    hot = [operations.operations]
    if scope.shows_platform:
        found += platform.tables(scope)
        hot.append(platform.store)
    return found + _of_hot_tier(scope, hot)


def _of_hot_tier(scope: Scope, parts: Iterable[Callable[[Scope], Iterator[Family]]]) -> list[Family]:
    """Return what the hot tier tells; when it is down it takes only its own along."""
    try:
        found = [family for part in parts for family in part(scope)]
    except TransientError:
        found = []
    return [single("vsm_self_hot_tier_up", "Whether the hot tier answers.", float(bool(found))), *found]
