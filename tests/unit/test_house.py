"""The house rules that a file's name and place must keep."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Every other module of a room is pure: no Django, no Celery, no clock.
DOORS = {
    "tasks.py", "services.py", "queries.py", "models.py", "admin.py", "apps.py", "checks.py",
    "__init__.py", "live.py", "redis_sequence.py", "slots.py", "collection.py", "store.py", "memory.py",
    "redis_tier.py", "registry.py", "warm.py", "receiver.py", "evaluator.py", "lifecycle.py",
    "transitions.py", "book.py", "feeding.py", "looking.py", "rehearsing.py", "recalling.py", "exchange.py",
    "rule_forms.py", "limits.py", "redis_limiter.py", "rejections.py",
    "fast_lane.py", "handlers.py", "inbound.py", "outbox.py", "reader.py", "receiving.py", "relay.py", "topology.py",
    "wire.py", "new_tables.py",
    "bulk.py", "projections.py",
    "gathering.py",
    "leading.py", "dispatch.py", "damping.py",
    "fields.py", "listening.py", "reconciling.py", "emission.py", "aggregation.py", "canary.py", "recording.py",
    "partitions.py", "tiers.py", "retention.py", "cold.py", "archiving.py", "archive_files.py", "exporting.py",
    "chunk_table.py", "packing.py", "merging.py",
    "steering.py", "previews.py", "carrying.py", "standing.py", "captures.py",
    "intake.py", "sorting.py", "flushing.py", "sending.py", "reporting.py",
    "acting.py", "informing.py", "duties.py", "reaching.py", "waking.py", "starting.py", "escalating.py",
    "paging.py", "planning.py", "handing_over.py", "telling.py",
    "watching.py", "detection.py", "rounds.py", "worker_queries.py", "counting.py", "results.py",
    "rolling_up.py",
    "raising.py", "beating.py", "permitting.py", "recommending.py", "gauging.py", "settling.py", "advising.py",
    "stepping.py", "emptying.py", "amending.py", "deciding.py", "responding.py", "projecting.py", "scanning.py",
    "administering.py",
    "hearing.py", "pooling.py", "enforcing.py", "granting.py",
}  # fmt: skip
OUTSIDE = {"django", "celery", "kombu", "redis", "channels"}
CLOCKS = {"now", "utcnow", "today", "time", "monotonic"}


def pure_modules() -> Iterator[Path]:
    for path in [*(ROOT / "subsystems").rglob("*.py"), *(ROOT / "alerts").rglob("*.py")]:
        if path.name not in DOORS and not {"migrations", "adapters"} & set(path.parts):
            yield path


def imported_roots(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def clock_calls(tree: ast.AST) -> set[str]:
    """Return calls such as `time.time()` or `datetime.now()`."""
    return {
        f"{node.func.value.id}.{node.func.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in {"time", "datetime", "timezone"}
        and node.func.attr in CLOCKS
    }


@pytest.mark.parametrize("path", sorted(pure_modules()), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_named_for_its_topic_is_pure(path: Path) -> None:
    """Decisions that take everything as arguments can be tested and replayed; one hidden clock ends that."""
    tree = ast.parse(path.read_text())

    assert imported_roots(tree) & OUTSIDE == set()
    assert clock_calls(tree) == set()


def test_only_one_module_reads_the_environment() -> None:
    """A variable read elsewhere is neither validated nor documented."""
    readers = {
        str(path.relative_to(ROOT))
        for folder in ("vsm_site", "alerts", "subsystems")
        for path in (ROOT / folder).rglob("*.py")
        if "os.environ[" in path.read_text() or "os.environ.get" in path.read_text() or "getenv" in path.read_text()
    }

    assert readers == set()
