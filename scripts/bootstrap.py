#!/usr/bin/env python3
"""Make `.venv` and install the locked packages. Needs nothing but Python 3.11+; the second run has nothing to do.

Debian's Python comes without pip and without what `python -m venv` needs to add it, so the environment is made bare
and a pip wheel that lies beside this file does the installing. The syntax here stays old on purpose: an old Python
must get far enough to say that it is too old.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "vsm-installed.json"
LOG = VENV / "vsm-install.log"
PIP_WHEEL = ROOT / "scripts" / "vendor" / "pip-26.3-py3-none-any.whl"
PIP_SHA256 = "f3b60b20ffaadd4415ed7957212a38ac63fa4c5fa375bd0f4a797777940fad13"
OLDEST = (3, 11)
CANDIDATES = ["python3.13", "python3.12", "python3.11", "python3.14", "python3", "python"]
LOCKS = ["requirements.txt"]
TEST_LOCKS = ["requirements.txt", "requirements/test.txt"]
# What benchmarks alone compare with lies apart: other packages would import pandas if they could find it.
BENCH_LOCK = "requirements/bench.txt"
BENCH_PACKAGES = VENV / "bench"


def main():
    asked = sys.argv[1:]
    locks = TEST_LOCKS if "--test" in asked else TEST_LOCKS + [BENCH_LOCK] if "--bench" in asked else LOCKS
    wanted = {name: digest(ROOT / name) for name in locks}
    installed = read_stamp()
    missing = [name for name in locks if installed.get(name) != wanted[name]]
    if not missing and PYTHON.exists():
        return
    make_environment()
    check_pip()
    for name in missing:
        install(name)
        installed[name] = wanted[name]
        STAMP.write_text(json.dumps(installed))


def read_stamp():
    try:
        return json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def make_environment():
    """Make `.venv` unless a working one is there; one whose Python went away is made anew."""
    if PYTHON.exists() and version_of(str(PYTHON)) >= OLDEST:
        return
    say("Making .venv")
    shutil.rmtree(str(VENV), ignore_errors=True)
    done = subprocess.run([find_python(), "-m", "venv", "--without-pip", str(VENV)])
    if done.returncode:
        stop("Python could not make a virtual environment in %s." % VENV)


def find_python():
    """Return a Python that is new enough, this one first."""
    for name in [sys.executable] + CANDIDATES:
        path = shutil.which(name)
        if path and version_of(path) >= OLDEST:
            return path
    return stop(
        "Python %d.%d or newer is needed; none of %s on PATH is. Found: %s."
        % (OLDEST[0], OLDEST[1], ", ".join(CANDIDATES), sys.version.split()[0])
    )


def version_of(python):
    """Return the (major, minor) of an interpreter; (0, 0) when it does not run (a shim without a version)."""
    command = [python, "-c", "import sys, venv; print(sys.version_info[0], sys.version_info[1])"]
    try:
        answer = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30).stdout.split()
    except (OSError, subprocess.TimeoutExpired):
        return (0, 0)
    return (int(answer[0]), int(answer[1])) if len(answer) == 2 else (0, 0)


def check_pip():
    if digest(PIP_WHEEL) != PIP_SHA256:
        stop("%s is not the file it should be; restore it from the repository." % PIP_WHEEL)


def install(lock):
    """Install one lock file, each package against its hash, counting aloud."""
    total = sum(1 for line in (ROOT / lock).read_text().splitlines() if "==" in line and line[0] not in "# ")
    command = [str(PYTHON), str(PIP_WHEEL / "pip"), "install", "--require-hashes", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar", "off", "--no-warn-script-location", "-r", lock]
    command += ["--target", str(BENCH_PACKAGES), "--upgrade"] if lock == BENCH_LOCK else []
    say("Installing %d packages of %s" % (total, lock))
    with LOG.open("w") as log:
        pip = subprocess.Popen(
            command, cwd=str(ROOT), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True
        )
        follow(pip.stdout, log, total)
    if pip.wait():
        sys.stderr.write("\n" + "".join(LOG.read_text().splitlines(True)[-25:]))
        stop("The packages of %s could not be installed; the whole log is %s." % (lock, LOG))


def follow(lines, log, total):
    """Show how far pip is: one line that grows on a terminal, a few lines elsewhere."""
    count = 0
    for line in lines:
        log.write(line)
        if line.startswith(("Collecting ", "Requirement already")):
            count += 1
            show(count, total, line.split("==")[0].split()[-1])
        elif line.startswith("Installing collected"):
            show(total, total, "unpacking")
    if sys.stderr.isatty():
        sys.stderr.write("\n")


def show(count, total, name):
    text = "  %3d of %d  %s" % (min(count, total), total, name)
    if sys.stderr.isatty():
        sys.stderr.write("\r%-70s" % text)
    elif count % 20 == 0 or count >= total:
        sys.stderr.write(text + "\n")
    sys.stderr.flush()


def say(text):
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def stop(text):
    say(text)
    sys.exit(1)


if __name__ == "__main__":
    os.environ.pop("PYTHONPATH", None)
    main()
