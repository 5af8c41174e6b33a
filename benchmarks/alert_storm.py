"""A storm of 100,000 alerts: memory bounded, groups right, and a critical one among them delivered in seconds.

Three processes, as on a real platform: one takes the alerts in over `receive`, one groups them, one sends. A critical
alert of a team of its own comes in the middle. `python -m benchmarks alert_storm [--alerts 100000]`
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import django

from benchmarks.result import Result, report

TEAMS, AT_ONCE = 50, 1000
PARTS = ("group", "send")


def prepared() -> None:
    os.environ["VSM_HTTP_ALLOW"] = "127.0.0.0/8"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "vsm_site.settings")
    django.setup()


def part(name: str) -> None:
    """Do one part of the work until told to stop; say at the end how much memory it took."""
    from django.utils import timezone

    from alerts.notices import services

    print("ready", flush=True)
    stop = f"{os.environ['VSM_HOME']}/stop"
    while not os.path.exists(stop):  # noqa: PTH110
        if name == "group":
            services.group(now=timezone.now())
        else:
            services.notify(now=timezone.now())
        time.sleep(0.05)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, flush=True)


def run(alerts: int = 100_000) -> list[Result]:
    prepared()
    from django.core.management import call_command

    from alerts.notices.models import GroupMember
    from tests.support.services_fake import serving

    call_command("migrate", verbosity=0)
    with serving() as fake:
        name = routed_to(f"{fake.url}/hook")
        before, stop = GroupMember.objects.count(), f"{os.environ['VSM_HOME']}/stop"
        children = [_child(each) for each in PARTS]
        delay, seconds = raged(name, alerts, lambda: _heard(fake.requests))
        open(stop, "w").close()  # noqa: PTH123
        memory = [float(child.communicate(timeout=60)[0].split()[-1]) for child in children]
        os.unlink(stop)  # noqa: PTH108
    members = GroupMember.objects.count() - before
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    details = {"alerts": alerts, **seconds, "memory_mb": [round(each) for each in (own, *memory)], "members": members}
    heard, memory_of = f"a critical alert amid {alerts:,} others, to the webhook", max(own, *memory)
    return [
        Result("alert_storm_critical", heard, delay, 5.0, "s", "less", details),
        Result("alert_storm_memory", "memory of the largest process", memory_of, 400.0, "MB", "less", details),
        Result("alert_storm_groups", "alerts of a storm that are in no group", abs(members - alerts - 1), 1e-9, "n",
               "less", details),
    ]  # fmt: skip


def routed_to(url: str) -> str:
    """Let a webhook at *url* hear of everything, of the critical at once; return the name of this run."""
    from django.contrib.auth.models import User
    from django.utils import timezone

    from alerts.notices import services
    from alerts.notices.models import Target
    from subsystems.recursion.queries import root_system

    user, _ = User.objects.get_or_create(username="storm", is_superuser=True)
    name = f"storm-{time.time_ns()}"
    services.save_target(Target(system=root_system(), name=name, kind="webhook"), user, settings={"url": url})
    document = {
        "route": {"receiver": "r", "group_by": ["team"], "group_wait": "30s",
                  "routes": [{"matchers": ['severity="critical"'], "group_wait": "0s"}]},
        "receivers": [{"name": "r", "targets": [name]}],
    }  # fmt: skip
    services.save_routing(root_system(), document, user, now=timezone.now())
    return name


def raged(name: str, alerts: int, heard: Callable[[], float]) -> tuple[float, dict[str, float]]:
    """Report *alerts* with a critical one in their middle, and wait until all are sorted.

    Return the seconds until the critical one was heard of, and those that taking in and sorting took.
    """
    from django.utils import timezone

    from alerts.notices import reporting
    from alerts.notices.models import Incoming
    from subsystems.recursion.queries import root_system

    began, critical_at, critical_heard = time.time(), 0.0, 0.0
    for first in range(0, alerts, AT_ONCE):
        bodies = [_body(name, number) for number in range(first, min(first + AT_ONCE, alerts))]
        if first >= alerts / 2 and not critical_at:
            critical_at = time.time()
            bodies.append({"labels": {"alertname": "Pain", "run": name, "team": "heart", "severity": "critical"}})
        reporting.receive(root_system(), bodies, now=timezone.now())
        critical_heard = critical_heard or heard()
    taken = time.time() - began
    while time.time() - began < 600 and (Incoming.objects.exists() or not critical_heard):
        critical_heard = critical_heard or heard()
        time.sleep(0.02)
    return critical_heard - critical_at, {"taken_in_s": round(taken, 1), "sorted_s": round(time.time() - began, 1)}


def _child(name: str) -> Any:
    command = [sys.executable, "-m", "benchmarks.alert_storm", "--part", name]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    child.stdout.readline()
    return child


def _body(name: str, number: int) -> dict[str, Any]:
    labels = {"alertname": "Storm", "run": name, "n": str(number), "team": str(number % TEAMS), "severity": "warning"}
    return {"labels": labels, "annotations": {"summary": f"storm {number}"}}


def _heard(requests: list[Any]) -> float:
    """Return when the critical alert was first seen here, or nothing."""
    return time.time() if any(said["groupLabels"].get("team") == "heart" for *_, said in requests) else 0.0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alerts", type=int, default=100_000)
    parser.add_argument("--part", choices=PARTS)
    given = parser.parse_args()
    if given.part:
        prepared()
        part(given.part)
    else:
        report(lambda: run(given.alerts))
