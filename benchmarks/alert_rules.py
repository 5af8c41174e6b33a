"""Ten thousand rules over a hundred thousand series, beside Prometheus evaluating the same rules on the same numbers.

Both hold the series already. Of Prometheus the time of the processor is counted with the rules and without them,
scraping the same page; of the platform that of whole evaluations in one process, alerts and database included.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import psutil

from benchmarks.doors import peer
from benchmarks.embedded_server import free_port
from benchmarks.result import Result, report

METRICS, SOURCES, GROUPS = 100, 1_000, 100
SERIES, RULES = METRICS * SOURCES, METRICS * GROUPS
HIGH_EVERY = 1_000  # one series in a thousand is above its threshold
INTERVAL_SECONDS, MEASURED_SECONDS, ROUNDS = 5, 60, 6


def value(metric: int, source: int) -> float:
    return 0.95 if (metric * SOURCES + source) % HIGH_EVERY == 0 else 0.5


def ours() -> dict[str, float]:
    """Return the seconds of processor for the first evaluation and for each of those that follow."""
    import django

    os.environ["VSM_HOME"] = tempfile.mkdtemp()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "vsm_site.settings")
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from alerts import evaluator
    from alerts.models import Alert, AlertRule
    from subsystems.recursion.queries import root_system
    from subsystems.telemetry.columns import Columns
    from subsystems.telemetry.models import Series
    from subsystems.telemetry.samples import labels_text, series_key
    from subsystems.telemetry.store import hot_tier

    system = root_system()
    rows = []
    for metric in range(METRICS):
        for source in range(SOURCES):
            labels = {"group": str(source % GROUPS)}
            key = series_key(system.pk, f"s{source}", f"m_{metric}", labels_text(labels))
            rows.append(Series(system=system, source=f"s{source}", metric=f"m_{metric}", labels=labels, key=key))
    Series.objects.bulk_create(rows, batch_size=5_000)
    ids = np.array(Series.objects.order_by("pk").values_list("pk", flat=True), np.int64)
    values = np.array([value(metric, source) for metric in range(METRICS) for source in range(SOURCES)])
    AlertRule.objects.bulk_create(
        [
            AlertRule(system=system, name=f"m_{metric} {group}", metric=f"m_{metric}", match=f"group={group}",
                      threshold=0.9, severity="info")
            for metric in range(METRICS) for group in range(GROUPS)
        ],
        batch_size=1_000,
    )  # fmt: skip
    took = []
    start = time.time() - ROUNDS * INTERVAL_SECONDS
    for round_ in range(ROUNDS + 1):
        now = start + round_ * INTERVAL_SECONDS
        hot_tier().append(Columns(ids, np.full(SERIES, now), values))
        before = time.process_time()
        evaluator.evaluate(now=datetime.fromtimestamp(now, UTC))
        took.append(time.process_time() - before)
    firing = Alert.objects.filter(state="firing").count()
    if firing != SERIES // HIGH_EVERY:
        raise RuntimeError(f"{firing} alerts fire")
    return {"first": took[0], "each": float(np.median(took[1:])), "firing": firing}


def prometheus(page: Path, *, rules: bool) -> float:
    """Return the seconds of processor that Prometheus takes for a second."""
    binary = shutil.which("prometheus")
    assert binary is not None
    port, pages = free_port(), free_port()
    with tempfile.TemporaryDirectory() as data:
        targets = [{"targets": [f"127.0.0.1:{pages}"]}]
        job = {"job_name": "b", "scrape_interval": "30s", "scrape_timeout": "25s", "static_configs": targets}
        config = {"global": {"evaluation_interval": f"{INTERVAL_SECONDS}s"}, "scrape_configs": [job]}
        if rules:
            groups = [
                {
                    "name": f"m_{metric}",
                    "rules": [
                        {"alert": f"m_{metric} {group}", "expr": f'm_{metric}{{group="{group}"}} > 0.9'}
                        for group in range(GROUPS)
                    ],
                }
                for metric in range(METRICS)
            ]
            Path(data, "rules.yml").write_text(json.dumps({"groups": groups}))  # JSON is YAML
            config["rule_files"] = [str(Path(data, "rules.yml"))]
        Path(data, "prometheus.yml").write_text(json.dumps(config))
        arguments = [f"--config.file={data}/prometheus.yml", f"--storage.tsdb.path={data}/tsdb"]
        arguments.append(f"--web.listen-address=127.0.0.1:{port}")
        server = [sys.executable, "-m", "http.server", str(pages), "--bind", "127.0.0.1", "--directory", str(page)]
        with peer(*server, port=pages), peer(binary, *arguments, port=port) as pid:
            time.sleep(35)  # the first scrape makes the series
            process = psutil.Process(pid)
            before = process.cpu_times()
            time.sleep(MEASURED_SECONDS)
            after = process.cpu_times()
            if rules:
                check(f"http://127.0.0.1:{port}")
    return (after.user + after.system - before.user - before.system) / MEASURED_SECONDS


def check(url: str) -> None:
    """Raise unless the same alerts fire there."""
    firing = len(httpx.get(f"{url}/api/v1/alerts", trust_env=False).json()["data"]["alerts"])
    if firing != SERIES // HIGH_EVERY:
        raise RuntimeError(f"{firing} alerts fire in Prometheus")


def theirs() -> dict[str, float] | None:
    if shutil.which("prometheus") is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        lines = [
            f'm_{metric}{{source="s{source}",group="{source % GROUPS}"}} {value(metric, source)}'
            for metric in range(METRICS)
            for source in range(SOURCES)
        ]
        Path(folder, "metrics").write_text("\n".join(lines) + "\n")
        without = prometheus(Path(folder), rules=False)
        return {"without rules": without, "with rules": prometheus(Path(folder), rules=True)}


def run() -> list[Result]:
    found, peers = ours(), theirs()
    details = {
        "CPU s of an evaluation": round(found["each"], 3),
        "of the first": round(found["first"], 3),
        "alerts": found["firing"],
    }
    promise = "10,000 rules over 100,000 series within their interval of 5 s"
    told = [Result("alert rules", promise, found["each"], float(INTERVAL_SECONDS), "CPU s", details=details)]
    if peers is not None:
        extra = (peers["with rules"] - peers["without rules"]) * INTERVAL_SECONDS
        per_thousand = 1000 / RULES * 1000
        details = {f"Prometheus, CPU s a second, {name}": round(each, 3) for name, each in peers.items()}
        promise = "no more of the processor for a thousand rules than Prometheus takes"
        measured, against = found["each"] * per_thousand, extra * per_thousand
        told.append(Result("rules beside Prometheus", promise, measured, against, "CPU ms", details=details))
    return told


if __name__ == "__main__":
    report(run)
