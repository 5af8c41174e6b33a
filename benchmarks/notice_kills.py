"""Workers that notify are killed at random, many times: every alert is told, few twice, and a silenced one never.

A child takes alerts in, groups them and sends them to a webhook of the parent; it is killed with SIGKILL after a random
time, and another begins where it died. `python -m benchmarks notice_kills [--deaths 200] [--seed 1]`
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import django

from benchmarks.result import Result, report

CHILD = [sys.executable, "-m", "benchmarks.notice_kills", "--child"]
ALERTS, GROUPS = 20, 4  # that a child takes in at a time
LEASE = timedelta(seconds=0.3)  # a claim of the dead ends as soon as it may
STUCK_SECONDS = 60.0  # without one more alert told: the rest never will be


def prepared() -> None:
    os.environ["VSM_HTTP_ALLOW"] = "127.0.0.0/8"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "vsm_site.settings")
    django.setup()


def work(notes: Path) -> None:
    """Take alerts in, note them, move notices on, send; until killed."""
    from django.utils import timezone

    from alerts.delivery import sending
    from alerts.notices import reporting, services
    from subsystems.recursion.queries import root_system

    sending.LEASE = LEASE
    print("at work", flush=True)
    for number in range(10_000):
        now = timezone.now()
        names = [f"{os.getpid()}-{number}-{each}" for each in range(ALERTS)]
        reporting.receive(root_system(), [body(name, each) for each, name in enumerate(names)], now=now)
        with notes.open("a") as file:
            file.writelines(f"{name}\n" for name in names)
        services.turn(now=timezone.now())
        services.notify(now=timezone.now(), budget=0.2)


def body(name: str, number: int) -> dict[str, object]:
    team = "silenced" if number == 0 else f"team-{name.rpartition('-')[0]}-{number % GROUPS}"
    return {"labels": {"alertname": "Killed", "name": name, "team": team, "severity": "critical"}}


def run(deaths: int = 20, seed: int = 1) -> list[Result]:
    prepared()
    from django.core.management import call_command

    from tests.support.services_fake import serving

    call_command("migrate", verbosity=0)
    notes = Path(os.environ["VSM_HOME"]) / f"reported-{time.time_ns()}"
    notes.touch()
    with serving() as fake:
        routed_to(f"{fake.url}/hook")
        kill_workers(deaths, random.Random(seed), notes)
        tell_the_rest(lambda: missing(notes, heard_of(fake.requests)))
    sends = Counter(headers["webhook-id"] for _, _, headers, _ in fake.requests)
    doubled = sum(count - 1 for count in sends.values())
    silenced = sum(alert["labels"]["team"] == "silenced" for *_, said in fake.requests for alert in said["alerts"])
    details = {"deaths": deaths, "seed": seed, "alerts": len(notes.read_text().split()), "notifications": len(sends)}
    lost = missing(notes, heard_of(fake.requests))
    share = doubled / max(1, len(sends))
    return [
        Result("notice_kills_lost", "workers killed in mid-send: alerts never told, and silenced ones told",
               lost + silenced, 1e-9, "alerts", "less", {**details, "lost": lost, "silenced": silenced}),
        Result("notice_kills_doubled", "workers killed in mid-send: notifications sent twice", share, 0.05, "share",
               "less", {**details, "doubled": doubled}),
    ]  # fmt: skip


def routed_to(url: str) -> None:
    """Let every alert go to a webhook at *url*, but for those of a team that is silenced."""
    from django.contrib.auth.models import User
    from django.utils import timezone

    from alerts.notices import services
    from alerts.notices.models import Target
    from subsystems.recursion.queries import root_system

    user, _ = User.objects.get_or_create(username="kills", is_superuser=True)
    target = Target(system=root_system(), name=f"kills-{time.time_ns()}", kind="webhook")
    services.save_target(target, user, settings={"url": url})
    document = {"route": {"receiver": "r", "group_by": ["team"], "group_wait": "0s", "group_interval": "1s"},
                "receivers": [{"name": "r", "targets": [target.name]}]}  # fmt: skip
    services.save_routing(root_system(), document, user, now=timezone.now())
    ends = timezone.now() + timedelta(days=1)
    services.create_silence(root_system(), user, 'team="silenced"', ends, "a test", now=timezone.now())


def kill_workers(deaths: int, chance: random.Random, notes: Path) -> None:
    """Start a worker and kill it at a random moment, again and again."""
    for _ in range(deaths):
        child = subprocess.Popen([*CHILD, str(notes)], stdout=subprocess.PIPE)
        assert child.stdout is not None
        if not child.stdout.readline():
            raise RuntimeError("A worker did not start: it must not count as killed.")
        time.sleep(chance.uniform(0.02, 0.6))
        if child.poll() is not None:
            raise RuntimeError("A worker died by itself.")
        child.send_signal(signal.SIGKILL)
        child.wait()


def tell_the_rest(untold: Callable[[], int]) -> None:
    """Work on until nothing waits; give up when nothing more is told for a while."""
    from django.utils import timezone

    from alerts.delivery import sending
    from alerts.notices import services
    from alerts.notices.models import Notification

    time.sleep(1)
    sending.LEASE = LEASE
    fewest, since = untold(), time.monotonic()
    while time.monotonic() - since < STUCK_SECONDS:
        services.turn(now=timezone.now())
        services.notify(now=timezone.now())
        now = untold()
        if not now and not Notification.objects.filter(state="waiting").exists():
            return
        if now < fewest:
            fewest, since = now, time.monotonic()
        time.sleep(0.3)


def heard_of(requests: list[tuple[str, str, dict[str, str], dict[str, object]]]) -> set[str]:
    return {alert["labels"]["name"] for *_, said in requests for alert in said["alerts"]}  # type: ignore[index,attr-defined]


def missing(notes: Path, heard: set[str]) -> int:
    """Return how many alerts were taken in for sure, are not silenced, and were never told."""
    wanted = {name for name in notes.read_text().split() if not name.endswith("-0")}
    return len(wanted - heard)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deaths", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--child", type=Path)
    given = parser.parse_args()
    if given.child:
        prepared()
        work(given.child)
    else:
        report(lambda: run(given.deaths, given.seed))
