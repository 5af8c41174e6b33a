"""Runs benchmarks one after the other, each in a fresh process and home, and prints the table of ratios.

`python -m benchmarks` runs all and writes `results.json`; `python -m benchmarks hot_tier variety` runs two; what
follows a single name is handed to it: `python -m benchmarks tiers --series 200 --days 365`.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import Any

from benchmarks.result import MARK

HERE = Path(__file__).parent
ALL = [
    "dispatch",
    "messages",
    "algedonic_lane",
    "rate_limiter",
    "event_log",
    "hot_tier",
    "alert_rules",
    "variety",
    "forecasts",
    "anomalies",
    "patterns",
    "doors",
    "remote_write",
    "statsd_lines",
    "exposition",
    "tiers",
    "kills",
    "notice_latency",
    "notice_kills",
    "alert_storm",
    "collection_cost",
    "full_cycle",
    "drain",
    "saw_tooth",
    "scaling_loads",
    "fleet_rate",
    "fleet_events",
    "task_history",
    "stuck_detectors",
    "idle_memory",
    "event_to_dashboard",
    "pages",
    "dashboards",
    "dashboard_drops",
    "lighthouse",
]
TIMEOUT_SECONDS = 600
LONGER_SECONDS = {"saw_tooth": 2700, "dashboard_drops": 1200}  # the one runs three times nine minutes, the other five
LARGER_TIMEOUT_SECONDS = 6 * 3600  # for one that somebody asked to be larger than it is in the table


def main() -> int:
    given = sys.argv[1:]
    if given and given[0] in ("-h", "--help"):
        print(f"{__doc__}\nThere are {', '.join(ALL)}.")
        return 0
    chosen = list(takewhile(ALL.__contains__, given)) or ALL
    options = given if chosen is ALL else given[len(chosen) :]
    if options and len(chosen) != 1:
        print(f"There is no benchmark {options[0]}; there are {', '.join(ALL)}.", file=sys.stderr)
        return 2
    results: list[dict[str, Any]] = []
    failed = []
    for name in chosen:
        print(f"running {name} …", file=sys.stderr, flush=True)
        found = run_apart(name, options)
        results += found or []
        failed += [name] if found is None else []
    if set(chosen) == set(ALL):
        write(results)
    print(table(results))
    if len(chosen) == 1:  # somebody looks at this one
        print("".join(f"\n{row['name']}: {json.dumps(row['details'])}" for row in results if row["details"]))
    print("".join(f"{name} did not finish.\n" for name in failed), end="")
    return 1 if failed else 0


def run_apart(name: str, options: Sequence[str]) -> list[dict[str, Any]] | None:
    """Run one benchmark and return its results, none when a server is missing here; None when it failed."""
    limit = LARGER_TIMEOUT_SECONDS if options else LONGER_SECONDS.get(name, TIMEOUT_SECONDS)
    with tempfile.TemporaryDirectory(prefix="vsm-bench-") as home:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("VSM_", "DATABASE_URL"))}
        environment |= {"VSM_HOME": home, "VSM_HTTP_ALLOW": "127.0.0.1", "VSM_LOG_LEVEL": "ERROR"}
        environment |= {"DJANGO_SETTINGS_MODULE": "vsm_site.settings"}
        command = [sys.executable, "-m", f"benchmarks.{name}", *options]
        child = subprocess.Popen(
            command, env=environment, cwd=HERE.parent, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        try:
            output, _ = child.communicate(timeout=limit)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            os.killpg(child.pid, signal.SIGKILL)  # with whatever server it had started
            child.wait()
            return None
    lines = [line.removeprefix(MARK) for line in output.splitlines() if line.startswith(MARK)]
    return json.loads(lines[-1]) if lines and child.returncode == 0 else None


def write(results: list[dict[str, Any]]) -> None:
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    document = {"measured_at": datetime.now(UTC).isoformat(timespec="seconds"), **machine, "results": results}
    (HERE / "results.json").write_text(json.dumps(document, indent=2) + "\n")


def table(results: list[dict[str, Any]]) -> str:
    head = f"{'benchmark':<28}{'measured':>14}{'against':>14}  {'unit':<14}{'ratio':>9}  better  holds"
    rows = [
        f"{row['name']:<28}{row['measured']:>14,.3g}{row['against']:>14,.3g}  {row['unit']:<14}{row['ratio']:>9.3g}"
        f"  {row['better']:<6}  {'yes' if row['holds'] else 'NO'}"
        for row in results
    ]
    return "\n".join([head, "-" * len(head), *rows])


if __name__ == "__main__":
    sys.exit(main())
