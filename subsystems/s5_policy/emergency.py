"""The checklist of an emergency: what to look at first, from what was measured (requirements 002-15, 2-53)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from subsystems.kernel.health import Health
from subsystems.s5_policy.terms import EmergencyPolicy, Mode

MAX_WHY = 300
# What to do about a part that is unhealthy; S3 gets it as advice. A subsystem that S3 cannot help gets a question.
STEPS: Mapping[str, str] = {
    "s1": "Look at the units with the worst health first; take load off them, or add workers to the queues that grow",
    "s2": "Look at what runs late or twice: the schedules, the beat, the damped acts",
    "s3": "Look at the hosts with the least headroom, and at what the collection does not reach",
    "s4": "Bring back the sources that are not heard: brokers of fleets, services that are probed",
    "s5": "Answer the alerts that wait for an answer, the oldest critical one first",
}
UNKNOWN_STEP = "Find out how {name} does: nothing is measured of it"


def checklist(subsystems: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what is to be done, the worst first. *subsystems* are those of an assessment; what is well is left out."""
    steps = []
    for name, found in subsystems.items():
        if name not in STEPS or found["status"] == Health.HEALTHY:
            continue
        unknown = found["score"] is None
        what = UNKNOWN_STEP.format(name=name.upper()) if unknown else STEPS[name]
        steps.append({
            "subsystem": name, "what": what, "why": str(found["reason"])[:MAX_WHY], "score": found["score"],
            "done_at": None, "done_by": "",
        })  # fmt: skip
    return sorted(steps, key=lambda step: (step["score"] is None, step["score"] or 0.0, step["subsystem"]))


def is_due(policy: EmergencyPolicy, *, began_at: datetime, last_response: datetime | None, now: datetime) -> bool:
    """Return whether S5 responds now: it lasted long enough, and the last response is not too near."""
    if policy.mode == Mode.OFF or now - began_at < timedelta(seconds=policy.after_seconds):
        return False
    return last_response is None or now - last_response >= timedelta(seconds=policy.repeat_seconds)
