"""Roll-up, packing and archive killed at random, many times: what is lost, and what is counted twice, is none.

A child works on a clock that runs ahead: it takes samples in, sums them up, packs and archives. It is killed after a
random time, and another begins where it died; what the hot tier acknowledged is kept by Redis. Needs `VSM_REDIS_URL`
and `DATABASE_URL` for the services profile; without them the embedded one is killed, whose hot tier dies with it, and
only what was written to the database must survive. `python -m benchmarks kills [--deaths 60] [--seed 1]`
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import django

from benchmarks.result import Result, report

DAY, STEP, SERIES, DAYS = 86_400, 60, 4, 3
START = 1_790_812_800  # a midnight
CHILD = [sys.executable, "-m", "benchmarks.kills", "--child"]


def prepared() -> None:
    os.environ.setdefault("VSM_ARCHIVE_URL", f"file://{os.environ['VSM_HOME']}/archive")
    django.setup()


def work(notes: Path) -> None:
    """Go on where the notes end: take in an hour, note it, sum it up; at the end of a day pack and archive."""
    import numpy as np

    from subsystems.recursion.queries import root_system
    from subsystems.telemetry import archiving, packing, redis_tier, registry, tiers
    from subsystems.telemetry.columns import Columns
    from subsystems.telemetry.store import hot_tier

    redis_tier.LEASE_SECONDS = -1  # on a clock that runs ahead nobody waits for the leases of the dead
    wanted = [registry.Wanted(f"host-{n}", "killed", {}) for n in range(SERIES)]
    ids = sorted(registry.series_ids(root_system().pk, wanted).values())
    for hour in range(done(notes), 24 * DAYS):
        at = START + hour * 3600 + np.arange(0, 3600, STEP, dtype=float)
        if not acknowledged(ids, at):
            hot_tier().append(Columns(np.repeat(ids, len(at)), np.tile(at, len(ids)), np.ones(len(ids) * len(at))))
        tiers.roll_up(now=at[-1] + STEP)
        with notes.open("a") as file:
            file.write(f"{hour}\n")
        tiers.evict(now=at[-1] + STEP)
        if hour % 24 == 23:
            archiving.archive_due(now=START + (hour + 1) * 3600 + packing.SETTLED_SECONDS)
    archiving.archive_due(now=START + (DAYS + 8) * DAY)


def acknowledged(ids: list[int], at: Any) -> bool:
    """Return whether this hour was taken in before the last death, and kept: its sender does not send it again."""
    import numpy as np

    from subsystems.telemetry import warm
    from subsystems.telemetry.memory import MemoryHotTier
    from subsystems.telemetry.store import hot_tier

    if isinstance(hot_tier(), MemoryHotTier):
        return False
    wanted = np.array(ids, np.int64)
    return bool(len(hot_tier().read(wanted, at[0], at[-1])) or len(warm.read(wanted, at[0], at[-1] + STEP)))


def done(notes: Path) -> int:
    return len(notes.read_text().split()) if notes.exists() else 0


def killed(deaths: int, seed: int, notes: Path) -> int:
    """Kill children until *deaths* of them died or one was done; then let one finish. Return how many died."""
    chance, died = random.Random(seed), 0
    while died < deaths:
        child = subprocess.Popen([*CHILD, str(notes)], stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()  # it is at work
        try:
            child.wait(chance.uniform(0.0, 0.6))
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            died += 1
        if child.wait() == 0:
            return died
    subprocess.run([*CHILD, str(notes)], check=True, stdout=subprocess.DEVNULL)
    return died


def counted() -> tuple[float, int]:
    """Return how many samples the archive answers, and how many of its files are not what their names say."""
    from django.conf import settings

    from subsystems.recursion.queries import root_system
    from subsystems.telemetry import queries
    from subsystems.telemetry.archive_files import sha256

    end = START + DAYS * DAY
    found = queries.query(
        [root_system().pk], "killed", start=START, end=end - 1, step=60, agg="count", now=end + 9 * DAY
    )
    files = Path(settings.ARCHIVE_URL.removeprefix("file://")).rglob("minutes/*/*.parquet")
    torn = sum(sha256(path.read_bytes()).hexdigest()[:16] not in path.name for path in files)
    return sum(float(line.values.sum()) for line in found.series), torn


def run(deaths: int = 12, seed: int = 1) -> list[Result]:
    prepared()
    from django.core.management import call_command

    from subsystems.telemetry.store import hot_tier

    call_command("migrate", verbosity=0)
    hot_tier().clear()
    notes = Path(os.environ["VSM_HOME"]) / f"hours-{time.time_ns()}"
    died = killed(deaths, seed, notes)
    found, torn = counted()
    expected = SERIES * DAYS * DAY / STEP
    details = {"deaths": died, "seed": seed, "samples": expected, "found": found, "torn_files": torn}
    missing = abs(found - expected) + torn
    return [
        Result("kills", "killed at random, nothing is lost or counted twice", missing, 1e-9, "wrong", "less", details)
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deaths", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--child", type=Path)
    given = parser.parse_args()
    if given.child:
        prepared()
        print("at work", flush=True)
        work(given.child)
    else:
        report(lambda: run(given.deaths, given.seed))
