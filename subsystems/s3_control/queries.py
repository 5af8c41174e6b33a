"""Runs as JSON."""

from __future__ import annotations

from typing import Any

from subsystems.kernel.times import moment_text
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
        "requested_at": moment_text(run.requested_at),
        "started_at": moment_text(run.started_at),
        "finished_at": moment_text(run.finished_at),
    }
