"""Declaring who should be there: roles, queues and how many workers."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from django.db import transaction

from subsystems.fleets.detectors.base import ALIVE_SECONDS, FRESH_SECONDS
from subsystems.fleets.models import NAME_LENGTH, ExpectedWorkers
from subsystems.fleets.watching import worker_states
from subsystems.kernel.errors import Invalid
from subsystems.s1_operations.models import Fleet

MAX_DECLARED = 200
MAX_WORKERS = 10_000


@transaction.atomic
def declare(fleet: Fleet, *, role: str, queue: str, workers: int) -> ExpectedWorkers:
    """Say that at least so many workers of *role* (any, when empty) should read *queue* (any, when empty).

    What was declared of the two before is replaced. Raises Invalid naming `role`, `queue` or `workers`.
    """
    role, queue = _name("role", role), _name("queue", queue)
    if not role and not queue:
        raise Invalid("Name a role, a queue, or both.", field="role")
    if not 1 <= workers <= MAX_WORKERS:
        raise Invalid(f"From 1 to {MAX_WORKERS:,} workers.", field="workers")
    Fleet.objects.select_for_update().get(pk=fleet.pk)  # one at a time, or two could pass the bound together
    known = ExpectedWorkers.objects.filter(fleet=fleet)
    if not known.filter(role=role, queue=queue).exists() and known.count() >= MAX_DECLARED:
        raise Invalid(f"At most {MAX_DECLARED} declarations for a fleet.", field="role")
    found, _ = ExpectedWorkers.objects.update_or_create(
        fleet=fleet, role=role, queue=queue, defaults={"workers": workers, "short_since": None}
    )
    return found


@transaction.atomic
def declare_present(fleet: Fleet, *, now: datetime) -> list[ExpectedWorkers]:
    """Declare what is here now, in place of what was declared before; return it. Raises Invalid when nobody is here."""
    here = now.timestamp() - max(ALIVE_SECONDS, FRESH_SECONDS)
    seen = [worker for worker in worker_states([fleet.pk]).values() if worker.observed_at >= here]
    counts = Counter((worker.role, queue) for worker in seen for queue in worker.queues)
    if not counts:
        raise Invalid("No worker of this fleet answers now: there is nothing to declare.", field="fleet")
    if len(counts) > MAX_DECLARED:
        raise Invalid(f"At most {MAX_DECLARED} declarations for a fleet; here are {len(counts)}.", field="fleet")
    ExpectedWorkers.objects.filter(fleet=fleet).delete()
    return ExpectedWorkers.objects.bulk_create(
        [ExpectedWorkers(fleet=fleet, role=role, queue=queue, workers=n) for (role, queue), n in sorted(counts.items())]
    )


def _name(field: str, given: str) -> str:
    name = given.strip()
    if len(name) > NAME_LENGTH or not name.isprintable():
        raise Invalid(f"At most {NAME_LENGTH} printable characters.", field=field)
    return name
