"""`make test`: every test that this machine can run, in both profiles, and one line about what was not run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import services

ROOT = Path(__file__).resolve().parent.parent
EMBEDDED = ["tests/unit", "tests/integration"]
BROWSER = ["tests/browser"]
SERVICES = ["tests/integration", "tests/services"]
FAULTS = ["tests/faults"]  # on private servers, which it breaks
# More processes than a small machine has cores, since tests wait: those of the services most, for brokers and workers.
EMBEDDED_WORKERS = 3
DIVIDE = ["--dist", "worksteal", "-n"]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# What the caller's shell says of a platform must not reach a test; nor that every process, of which tests start
# hundreds, is to compile all of the code anew.
OURS = ("VSM_", "DATABASE_URL", "PYTHONDONTWRITEBYTECODE")


@dataclass(frozen=True)
class Outcome:
    """How one profile's tests went."""

    failed: bool
    not_run: set[str]
    output: str


def main() -> int:
    not_run: set[str] = set()
    for peer in ("prometheus", "prometheus-alertmanager", "victoria-metrics"):
        installed(peer, [peer])  # without one the tests that need it say so themselves
    if not installed("chromium", BROWSERS):
        not_run.add("browser tests (Chromium is not installed and cannot be)")
    try:
        urls = services.urls(for_tests=True)
    except services.Unavailable as error:
        services.say(str(error))
        urls = {}
        not_run.add("the services profile (RabbitMQ, Redis and PostgreSQL are needed)")

    divided = [*DIVIDE, str(EMBEDDED_WORKERS)]
    runs = [("embedded", [*divided, *EMBEDDED], {}), ("embedded", BROWSER, {}), ("embedded", FAULTS, {})]
    if urls:
        divided = [*DIVIDE, str(len(services.TEST_WORKERS))] if services.can_divide(urls) else []
        runs.append(("services", [*divided, *SERVICES], {"VSM_PROFILE": "services", **urls}))
    # Side by side, because each spends most of its time waiting for something that is told to be slow.
    with ThreadPoolExecutor() as pool:
        outcomes = [pool.submit(run_pytest, *run) for run in runs]
        for outcome in as_completed(outcomes):
            print(outcome.result().output, flush=True)
    failed = any(outcome.result().failed for outcome in outcomes)
    for outcome in outcomes:
        not_run |= outcome.result().not_run
    return verdict(failed, not_run, strict=os.environ.get("STRICT") == "1")


def verdict(failed: bool, not_run: set[str], *, strict: bool) -> int:
    """Say how it went in one line and return the exit code."""
    said = f"Not run: {'; '.join(sorted(not_run))}." if not_run else "Nothing was left out."
    print(f"\n{'FAILED' if failed else 'Passed'}. {said}", flush=True)
    return 1 if failed or (strict and not_run) else 0


def installed(package: str, binaries: Sequence[str]) -> bool:
    """Return whether one of *binaries* is here, after installing the package that has it where that may be done."""
    if any(shutil.which(name) for name in binaries):
        return True
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    services.say(f"Installing {package}")
    try:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        services.run(["apt-get", "update", "-qq"], env=environment)
        services.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", package], env=environment)
    except services.Unavailable as error:
        services.say(str(error))
    return any(shutil.which(name) for name in binaries)


def run_pytest(profile: str, arguments: list[str], variables: dict[str, str]) -> Outcome:
    """Run tests of one profile in a home of their own."""
    folders = [argument for argument in arguments if argument.startswith("tests/")]
    with tempfile.TemporaryDirectory(prefix="vsm-tests-") as home:
        report = Path(home) / "skipped.json"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        environment = {**inherited, **variables, "VSM_HOME": home, "VSM_TEST_REPORT": str(report)}
        services.say(f"Running the {profile} profile: {' '.join(folders)}")
        command = [sys.executable, "-m", "pytest", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        skipped = json.loads(report.read_text()) if report.exists() else {}
    title = f"\n== {profile} profile: {' '.join(folders)}\n"
    return Outcome(
        done.returncode != 0, {f"{count} x {reason}" for reason, count in skipped.items()}, title + done.stdout
    )


if __name__ == "__main__":
    sys.exit(main())
