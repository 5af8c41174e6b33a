"""Lighthouse's scores of the pages that people have open all day, as on a phone and as on a desk.

`python -m benchmarks lighthouse`: needs node, npm (Lighthouse is installed from its lock file into a folder of its own)
and Chromium. A phone is Lighthouse's own: a slow network and a quarter of this processor, simulated. The browser has
logged in, so a page is measured as people have it: with its socket open and its charts asked for.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import sync_playwright

from benchmarks.embedded_server import Server, free_port, server
from benchmarks.result import Result, report
from tests.support.chromium import FLAGS, find_chromium

LOCKED = Path(__file__).with_name("lighthouse_cli")
CATEGORIES = ("performance", "accessibility", "best-practices")
LIMIT = 95
INSTALL_SECONDS = 300
PAGE_SECONDS = 240
UNIT_SECONDS = 60
FORMS: dict[str, list[str]] = {"phone": [], "desk": ["--preset=desktop"]}


def run() -> list[Result]:
    """Score each page in each form; the figure is the lowest of the categories."""
    with tempfile.TemporaryDirectory() as folder, server() as running:
        program = installed(Path(folder))
        pages = {"overview": "", "alerts": "alerts/", "unit": unit(running), "task list": "tasks/"}
        with logged_in(running) as port:
            return [
                result(form, name, scores(program, port, f"{running.url}/dashboard/{path}", options))
                for form, options in FORMS.items()
                for name, path in pages.items()
            ]


def installed(folder: Path) -> Path:
    """Install Lighthouse from the lock file into *folder* and return its program."""
    for path in LOCKED.glob("*.json"):
        shutil.copy(path, folder)
    command = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run(command, cwd=folder, check=True, timeout=INSTALL_SECONDS, stdout=subprocess.DEVNULL)
    return folder / "node_modules" / "lighthouse" / "cli" / "index.js"


def unit(running: Server) -> str:
    """Return the address of this host's own page, which has the most charts."""
    headers = {"Authorization": f"Bearer {running.token('read')}"}
    deadline = time.monotonic() + UNIT_SECONDS
    while time.monotonic() < deadline:
        answer = httpx.get(f"{running.url}/api/v1/units/?kind=host", headers=headers, timeout=60)
        if found := answer.raise_for_status().json()["results"]:
            return f"units/{found[0]['id']}/"
        time.sleep(1)
    raise RuntimeError("The platform did not find its own host.")


@contextmanager
def logged_in(running: Server) -> Iterator[int]:
    """Have a browser that has logged in; yield the port by which Lighthouse drives it."""
    port = free_port()
    name, _, value = running.session().partition("=")
    with tempfile.TemporaryDirectory() as profile, sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=find_chromium(), args=[*FLAGS, f"--remote-debugging-port={port}"]
        )
        context.add_cookies([{"name": name, "value": value, "url": running.url}])
        yield port
        context.close()


def scores(program: Path, port: int, url: str, options: list[str]) -> dict[str, Any]:
    """Return the score (0-100) of each category, and what cost points."""
    command = [
        "node", str(program), url, "--quiet", "--output=json", "--output-path=stdout", f"--port={port}",
        f"--only-categories={','.join(CATEGORIES)}", "--disable-storage-reset", *options,
    ]  # fmt: skip
    said = subprocess.run(command, check=True, timeout=PAGE_SECONDS, stdout=subprocess.PIPE)
    body = json.loads(said.stdout)
    found = {name: round(body["categories"][name]["score"] * 100) for name in CATEGORIES}
    return {**found, "lost on": list(lost(body)), "load": round(os.getloadavg()[0], 1)}


def lost(body: dict[str, Any]) -> Iterator[str]:
    """Yield the audits that did not give all their points."""
    for name in CATEGORIES:
        for reference in body["categories"][name]["auditRefs"]:
            audit = body["audits"][reference["id"]]
            if reference["weight"] and audit["score"] is not None and audit["score"] < LIMIT / 100:
                yield f"{reference['id']} ({audit.get('displayValue') or audit['score']})"


def result(form: str, name: str, found: dict[str, Any]) -> Result:
    promise = f"Lighthouse gives the {name} at least {LIMIT} of 100 in each category, on a {form}"
    lowest = min(found[category] for category in CATEGORIES)
    return Result(f"lighthouse.{form}.{name}", promise, lowest, LIMIT, "points", "more", found)


if __name__ == "__main__":
    report(run)
