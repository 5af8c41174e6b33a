"""The auto-scaler on a real fleet under a saw-tooth and a step: with S2's dampers, without them, and at a fixed size.

Two prefork workers on RabbitMQ read one queue; the load climbs like a saw's teeth, falls, and goes a step up and down.
The platform collects, decides and acts as it does in service, in mode *auto*; pools grow and shrink. What S2 is for is
fewer reversals (more, then fewer, then more) at the same objective: the 95th percentile of what waits.

Everything is forty times as fast: the default policy of the scaler and the default waits of the dampers, each divided
by forty, and teeth of a minute instead of 40. A backlog of four messages for each slot drives the scaler, too. S2's
monitor, which looks at two hours of demand each minute, takes no part: the dampers learn from what they see themselves.
Tasks sleep, so that a busy machine matters little. `python -m benchmarks saw_tooth 12` has twelve teeth, not seven.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import django

django.setup()

from django.utils import timezone  # noqa: E402

from benchmarks.drain import Fork, expect, watch  # noqa: E402
from benchmarks.faults.servers import RabbitMQ, rabbitmq_program  # noqa: E402
from benchmarks.result import Result, percentile, report  # noqa: E402
from subsystems.fleets.watching import queue_states  # noqa: E402
from subsystems.s1_operations import collection  # noqa: E402
from subsystems.s1_operations.models import Fleet  # noqa: E402
from subsystems.s2_coordination import damping  # noqa: E402
from subsystems.s2_coordination.dampers import DampingTerms  # noqa: E402
from subsystems.s2_coordination.models import Damper, DampingRules  # noqa: E402
from subsystems.s3_control import acts, carrying, permitting, settling  # noqa: E402
from subsystems.s3_control.models import Action, Hold, Recommendation  # noqa: E402
from subsystems.s3_control.scaling import gathering  # noqa: E402
from subsystems.s3_control.scaling import services as scaling  # noqa: E402
from subsystems.s3_control.scaling.deciding import Terms  # noqa: E402
from subsystems.s3_control.scaling.models import ScalingPolicy  # noqa: E402
from subsystems.telemetry.store import hot_tier  # noqa: E402

FASTER = 40.0
TEETH, TOOTH_SECONDS = 7, 60.0
STEPS = ((20.0, False), (40.0, True), (40.0, False))  # after the teeth: so many seconds low or high
RATE_SECONDS = 6.0  # not 1.5: a look takes more than a second
LOW, HIGH = 0.5, 16.0  # tasks a second
TASK_SECONDS = 0.5
LEAST, MOST = 2, 16
OBJECTIVE = 32.0  # messages that may wait: two seconds of the highest load
USUAL, DAMPED = Terms(), DampingTerms()
TERMS = {
    "queue": "busy", "mode": "auto", "least": LEAST, "most": MOST, "depth_per_slot": 4.0, "response_ms": None,
    "pain_signals": None,
    **{
        name: getattr(USUAL, name) / FASTER
        for name in ("out_cooldown_seconds", "in_cooldown_seconds", "window_seconds", "in_window_seconds")
    },
}  # fmt: skip
DAMPERS = {name: getattr(DAMPED, name) / FASTER for name in DampingRules.NUMBERS if name.endswith("_seconds")}


class Load(Fork):
    """A fleet whose feeder sends what the shape of the load says, instead of keeping a backlog."""

    pools = ("prefork",)

    def __init__(self, broker: str, folder: Path, teeth: int) -> None:
        self.teeth = teeth
        self.begun = 0.0
        super().__init__(broker, folder)

    @property
    def seconds(self) -> float:
        return self.teeth * TOOTH_SECONDS + sum(seconds for seconds, _ in STEPS)

    def rate(self, at: float) -> float:
        """Return how many tasks a second are sent *at* seconds after the start: teeth, then up and down a step."""
        if at < self.teeth * TOOTH_SECONDS:
            return LOW + (HIGH - LOW) * (at % TOOTH_SECONDS) / TOOTH_SECONDS
        end = self.teeth * TOOTH_SECONDS
        for seconds, high in STEPS:
            end += seconds
            if at < end:
                return HIGH if high else LOW
        return 0.0

    def _feed(self) -> None:
        due, last = 0.0, 0.0
        with self._client.connection_for_write() as connection:
            connection.default_channel.queue_declare("busy", durable=True, auto_delete=False)
            while not self._stop.wait(0.05):
                at = time.monotonic() - self.begun
                if not self.begun or at > self.seconds:
                    last = 0.0
                    continue
                due += self.rate(at) * (at - last)
                last = at
                while self.sent < int(due):
                    self.sent += 1
                    self._client.send_task("busy.work", [self.sent, TASK_SECONDS], queue="busy", connection=connection)

    def empty(self) -> bool:
        began, ended = self.began_and_ended()
        return len(numbers(ended)) >= self.sent and began == ended


def numbers(runs: Iterable[str]) -> set[str]:
    """Return of which tasks *runs* are."""
    return {run.partition(" ")[0] for run in runs}


def turn(fleet: Fleet, policy: ScalingPolicy | None) -> tuple[float, int]:
    """Do what the platform's clock does; return how many wait and how many slots there are."""
    collection.collect_now()
    now = timezone.now()
    if policy is not None:
        policy.refresh_from_db()
        scaling.evaluate(policy, now=now)
        for pk in Action.objects.filter(state="proposed").values_list("pk", flat=True):
            carrying.carry_out(str(pk), now=timezone.now())
        carrying.carry_on(now=timezone.now() + carrying.AGAIN)
        settling.tend(now=timezone.now())
    seen = queue_states([fleet.pk]).get((fleet.pk, "busy"))
    size = LEAST if policy is None else ScalingPolicy.objects.get(pk=policy.pk).size or 0
    return (0.0 if seen is None or seen.ready is None else seen.ready), size


def measure(broker: str, fleet: Fleet, name: str, *, slots: int, policy: ScalingPolicy | None, teeth: int) -> Any:
    """Let one run through the load; return what waited, what it cost and how often it turned round."""
    Recommendation.objects.all().delete()
    Hold.objects.all().delete()
    Damper.objects.all().delete()
    hot_tier().clear()  # what stood idle in the run before is not this one's
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        load = Load(broker, Path(folder), teeth)
        load.start(slots // 2)
        expect(fleet, list(load.workers))
        load.begun, last = time.monotonic(), time.monotonic()
        depths, slot_seconds, sizes = [], 0.0, []
        while time.monotonic() - load.begun < load.seconds:
            depth, size = turn(fleet, policy)
            size = slots if policy is None else size
            now = time.monotonic()
            slot_seconds, last = slot_seconds + size * (now - last), now
            depths.append(depth)
            sizes.append(size)
            threading.Event().wait(0.2)
        while not load.empty() and time.monotonic() - load.begun < load.seconds + 60:
            threading.Event().wait(0.5)
        began, ended = load.began_and_ended()
        sent = load.sent
        load.finish()
    kinds = Recommendation.objects.filter(applied_at__isnull=False).order_by("applied_at").values_list("act_kind")
    ways = [acts.direction(kind) for (kind,) in kinds]
    found = {
        "sent": sent, "lost": sent - len(numbers(ended)), "interrupted": len(began - ended),
        "twice": len(began) - len(numbers(began)),
        "p95_waiting": percentile(depths, 0.95), "worst_waiting": max(depths),
        "over_objective": round(sum(depth > OBJECTIVE for depth in depths) / len(depths), 4),
        "slot_seconds": round(slot_seconds),
        "steps": len(ways), "reversals": sum(one != other for one, other in pairwise(ways)), "looks": len(depths),
        "largest": max(sizes), "held": Hold.objects.count(), "machine_load": [load_before, os.getloadavg()[0]],
    }  # fmt: skip
    print(f"{name}: {found}", file=sys.stderr)
    return found


def prepared(fleet: Fleet) -> ScalingPolicy:
    gathering.LOOK_BACK_SECONDS /= FASTER
    gathering.LOOK_BACK_STEP_SECONDS /= FASTER
    gathering.RATE_SECONDS = RATE_SECONDS
    for kind in ("worker.grow", "worker.shrink"):
        limits = {"per_hour": 3600, "cooldown_seconds": 0, "stop_after": 100}
        permitting.set_permission(fleet.system_id, kind, "auto", limits, by="benchmark")
    return scaling.save_policy(fleet, TERMS, by="benchmark")


def run() -> Sequence[Result]:
    if rabbitmq_program() is None:
        print("Not run: needs rabbitmq-server.", file=sys.stderr)
        return []
    teeth = int(sys.argv[1]) if len(sys.argv) > 1 else TEETH
    with tempfile.TemporaryDirectory(prefix="saw-") as folder:
        rabbit = RabbitMQ(Path(folder) / "rabbitmq")
        try:
            rabbit.start()
            broker = f"amqp://guest:guest@127.0.0.1:{rabbit.port}//"
            fleet, _ = watch(broker)
            policy = prepared(fleet)
            now = timezone.now() - timedelta(seconds=1)
            damping.set_rules(fleet.system_id, {**DAMPERS, "enabled": True}, by=None, now=now)
            damped = measure(broker, fleet, "with S2", slots=LEAST, policy=policy, teeth=teeth)
            damping.set_rules(fleet.system_id, {"enabled": False}, by=None, now=now)
            bare = measure(broker, fleet, "without S2", slots=LEAST, policy=policy, teeth=teeth)
            fixed = measure(broker, fleet, "fixed", slots=MOST, policy=None, teeth=teeth)
        finally:
            rabbit.kill()
    details = {"with_s2": damped, "without_s2": bare, "fixed_at_most": fixed, "faster": FASTER, "teeth": teeth}
    lost = sum(each[what] for each in (damped, bare) for what in ("interrupted", "lost"))
    return [
        Result("saw_tooth_reversals", "S2 spares four of five reversals", damped["reversals"],
               max(0.2 * bare["reversals"], 0.2), "reversals", details=details),
        Result("saw_tooth_backlog", "at the objective of what waits (p95)", damped["p95_waiting"], OBJECTIVE,
               "messages", details=details),
        Result("saw_tooth_worst", "and at worst no more than without it", damped["worst_waiting"],
               max(OBJECTIVE, bare["worst_waiting"]), "messages", details=details),
        Result("saw_tooth_cost", "for less than the largest size all the time", damped["slot_seconds"],
               fixed["slot_seconds"], "slot-seconds", details=details),
        Result("saw_tooth_lost", "no task is lost or interrupted", lost, 0.5, "tasks", details=details),
    ]  # fmt: skip


if __name__ == "__main__":
    report(run)
