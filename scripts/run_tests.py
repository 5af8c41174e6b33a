"""`make test`: every test that this machine can run, in both profiles, and one line about what was not run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
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
class Run:
    """One call of pytest: the profile, its arguments, and what its environment says beside."""

    profile: str
    arguments: list[str]
    variables: dict[str, str] = field(default_factory=dict)


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
    outcomes = side_by_side([Run("embedded", [*divided, *EMBEDDED]), Run("embedded", FAULTS)])
    outcomes += side_by_side([Run("embedded", BROWSER)])  # a person does not look while everything else runs
    if urls:
        divided = [*DIVIDE, str(len(services.TEST_WORKERS))] if services.can_divide(urls) else []
        outcomes += side_by_side([Run("services", [*divided, *SERVICES], {"VSM_PROFILE": "services", **urls})])
    failed = any(outcome.failed for outcome in outcomes)
    for outcome in outcomes:
        not_run |= outcome.not_run
    return verdict(failed, not_run, strict=os.environ.get("STRICT") == "1")


def side_by_side(runs: Sequence[Run]) -> list[Outcome]:
    """Run the tests of one profile at once, since each waits a lot; one profile after the other, or both starve."""
    began = time.monotonic()
    with ThreadPoolExecutor() as pool:
        running = [pool.submit(run_pytest, run) for run in runs]
        for outcome in as_completed(running):
            print(outcome.result().output, flush=True)
    services.say(f"The {runs[0].profile} profile took {(time.monotonic() - began) / 60:.1f} min")
    return [outcome.result() for outcome in running]


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


def run_pytest(run: Run) -> Outcome:
    """Run tests of one profile in a home of their own."""
    folders = [argument for argument in run.arguments if argument.startswith("tests/")]
    with tempfile.TemporaryDirectory(prefix="vsm-tests-") as home:
        report = Path(home) / "skipped.json"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        environment = {**inherited, **run.variables, "VSM_HOME": home, "VSM_TEST_REPORT": str(report)}
        services.say(f"Running the {run.profile} profile: {' '.join(folders)}")
        command = [sys.executable, "-m", "pytest", *run.arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        skipped = json.loads(report.read_text()) if report.exists() else {}
    title = f"\n== {run.profile} profile: {' '.join(folders)}\n"
    return Outcome(
        done.returncode != 0, {f"{count} x {reason}" for reason, count in skipped.items()}, title + done.stdout
    )


if __name__ == "__main__":
    sys.exit(main())
