"""Runs as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from subsystems.s3_control.models import TaskRun


def run_body(run: TaskRun) -> dict[str, Any]:
    """Return one run as JSON."""
    return {
        "id": str(run.pk),
        "name": run.name,
        "arguments": run.arguments,
        "state": str(run.state),
        "result": run.result,
        "error": run.error,
        "worker": run.worker,
        "requested_by": run.requested_by.get_username() if run.requested_by else None,
        "requested_at": _rfc3339(run.requested_at),
        "started_at": _rfc3339(run.started_at),
        "finished_at": _rfc3339(run.finished_at),
    }


def _rfc3339(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None
