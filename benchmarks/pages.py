"""Every page of the dashboard over a large system: time of the server, queries, bytes.

10,000 units, 1,000 open alerts, 100,000 tasks and 100,000 events in a database of its own. Each page that is one of its
kind is asked for three times in this process (the best counts, since the machine may be shared), and so is the
snapshot of the live connection. Where there is a Chromium, the same pages and those of one unit, alert and task are
opened in it on a real server over the same database: a page is interactive when nothing on it waits for its first
numbers any more, and it answers a key.

`python -m benchmarks pages --units 1000` asks for another size; `--services` puts every part into a process of its
own, as in production, on the RabbitMQ, Redis and PostgreSQL that the environment names, which must be empty.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "vsm_site.settings")
django.setup()

from django.apps import apps  # noqa: E402
from django.conf import settings  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402
from django.urls import URLPattern, reverse  # noqa: E402
from playwright.sync_api import Page, sync_playwright  # noqa: E402

from benchmarks.embedded_server import Server, server  # noqa: E402
from benchmarks.result import Result, report  # noqa: E402
from subsystems.recursion.queries import root_system  # noqa: E402
from tests.support.chromium import FLAGS, find_chromium  # noqa: E402
from tests.support.crowd import crowd_rows, crowd_units  # noqa: E402

LIMIT_SECONDS = 2.0
TIMES = 3
ALERTS, EVENTS, TASKS, OTHERS = 1_000, 100_000, 100_000, 300
INTERACTIVE = """() => document.readyState !== "loading" && !document.querySelector("main .awaiting")
    && document.activeElement !== document.body"""
OTHER_ROWS = [
    "alerts.AlertRule", "alerts.Check", "alerts.Target", "alerts.Notification", "algedonic.Signal", "messaging.Message",
    "messaging.DeadLetter", "fleets.WorkerState", "fleets.QueueState", "fleets.StuckFinding", "s3_control.Action",
    "s3_control.Recommendation",
]  # fmt: skip


def fill(units: int) -> None:
    call_command("migrate", verbosity=0)
    root_system()
    crowd_units(units)
    crowd_rows(OTHER_ROWS, OTHERS)
    crowd_rows(["alerts.Alert"], ALERTS)
    crowd_rows(["fleets.Task"], TASKS)
    crowd_rows(["event_log.PendingEvent"], EVENTS)


def served() -> tuple[dict[str, dict[str, float]], list[str]]:
    """Return of each page its best time in ms (and of this thread's core), its queries and its bytes.

    And the paths of those that people look at: scripts ask for the others.
    """
    from vsm_site.dashboard import queries
    from vsm_site.dashboard.urls import urlpatterns

    client = Client(headers={"host": settings.ALLOWED_HOSTS[0]})
    client.force_login(User.objects.get_or_create(username="bench", is_superuser=True)[0])
    found: dict[str, dict[str, float]] = {}
    looked_at: list[str] = []
    for pattern in urlpatterns:
        if not isinstance(pattern, URLPattern) or not pattern.name or pattern.pattern.converters:
            continue
        path = reverse(f"dashboard:{pattern.name}")
        answer = client.get(path)
        if answer.status_code == 200:
            if b"<main" in answer.content:
                looked_at.append(path)
            found[pattern.name] = best(lambda path=path: client.get(path).content)
    found["snapshot"] = best(lambda: json.dumps(queries.snapshot(root_system())).encode())
    return found, looked_at


def best(ask: Any) -> dict[str, float]:
    times, cores = [], []
    for _ in range(TIMES):
        with CaptureQueriesContext(connection) as asked:
            started, spent = time.perf_counter(), time.thread_time()
            body = ask()
            times.append((time.perf_counter() - started) * 1000)
            cores.append((time.thread_time() - spent) * 1000)
    return {
        "ms": round(min(times), 1),
        "core_ms": round(min(cores), 1),
        "queries": len(asked),
        "kb": round(len(body) / 1024, 1),
    }


def interactive(page: Page, url: str) -> float:
    """Return the seconds from asking for a page until it shows what it is about and takes a key."""
    started = time.perf_counter()
    page.goto(url, wait_until="commit")
    page.locator("main h1").first.wait_for(state="attached", timeout=60_000)
    page.keyboard.press("Tab")
    page.wait_for_function(INTERACTIVE, timeout=60_000)
    return round(time.perf_counter() - started, 2)


def one_of_each() -> list[str]:
    """Return the pages of one unit, alert and task."""
    rows = (("unit", "s1_operations.Unit"), ("alert", "alerts.Alert"), ("task", "fleets.Task"))
    return [
        reverse(f"dashboard:{name}", args=[apps.get_model(label).objects.earliest("pk").pk]) for name, label in rows
    ]


def opened(running: Server, paths: list[str]) -> dict[str, float]:
    """Return by path the better of two openings in a real browser, in seconds, the slowest first."""
    name, _, value = running.session().partition("=")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS)
        context = browser.new_context()
        context.add_cookies([{"name": name, "value": value, "url": running.url}])
        page = context.new_page()
        found = {path: min(interactive(page, running.url + path) for _ in range(2)) for path in paths}
        browser.close()
    return dict(sorted(found.items(), key=lambda each: -each[1]))


def run() -> list[Result]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=10_000)
    parser.add_argument("--no-browser", action="store_true")
    parser.add_argument("--services", action="store_true", help="a process for each part, on given servers")
    given = parser.parse_args()
    fill(given.units)
    pages, paths = served()
    slowest = max(pages, key=lambda name: pages[name]["ms"])
    details = {"units": given.units, "load_average": os.getloadavg()[0], "slowest": slowest, "pages": pages}
    found = [
        Result("pages_slowest", "every page within 2 s of the server, at 10,000 units", pages[slowest]["ms"] / 1000,
               LIMIT_SECONDS, "s", details=details),
    ]  # fmt: skip
    if find_chromium() and not given.no_browser:
        with server(services=given.services) as running:
            seconds = opened(running, paths + one_of_each())
        found.append(
            Result("pages_interactive", "every page interactive within 2 s in a browser", max(seconds.values()),
                   LIMIT_SECONDS, "s", details=seconds | {"load_average": os.getloadavg()[0]})
        )  # fmt: skip
    return found


if __name__ == "__main__":
    report(run)
