"""The platform's own settings, in a home of their own so that a test run never meets a running platform's files."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")


def _own_home() -> None:
    """Give this run an empty home unless the caller chose one; an empty home has its own key and database."""
    if "VSM_HOME" in os.environ:
        if WORKER and Path(os.environ["VSM_HOME"]).name != WORKER:  # a process that a test starts inherits it
            os.environ["VSM_HOME"] = str(Path(os.environ["VSM_HOME"]) / WORKER)
        return
    home = tempfile.mkdtemp(prefix="vsm-tests-")
    os.environ["VSM_HOME"] = home
    atexit.register(shutil.rmtree, home, ignore_errors=True)


def _own_part_of_the_servers() -> None:
    """Give a worker of pytest-xdist its own virtual host and Redis database, which `scripts/services.py` has made."""
    if not WORKER or os.environ.get("VSM_PROFILE") != "services" or os.environ["VSM_BROKER_URL"].endswith(WORKER):
        return
    os.environ["VSM_BROKER_URL"] += f"-{WORKER}"
    redis = urlsplit(os.environ["VSM_REDIS_URL"])
    number = int(redis.path[1:]) - int(WORKER.removeprefix("gw"))
    os.environ["VSM_REDIS_URL"] = redis._replace(path=f"/{number}").geturl()


_own_home()
_own_part_of_the_servers()
# Importing the package configures Celery, which reads Django's settings: it must find whole ones, not these halfway.
os.environ["DJANGO_SETTINGS_MODULE"] = "vsm_site.settings"

from vsm_site.settings import *  # noqa: E402, F403  (reads VSM_HOME)

RECORD_OPERATIONS = False  # a test writes what it noted itself, when it likes
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # tests log in often; strength is Django's to test
if DATABASES["default"]["ENGINE"] != "vsm_site.sqlite":  # noqa: F405
    # A name of this run: whoever else tests on the same server must not drop the database under it.
    DATABASES["default"]["TEST"] = {"NAME": f"test_vsm_{os.getpid()}"}  # noqa: F405
    # Threads that outlive a test give their connections back after each piece of work.
    DATABASES["default"]["CONN_MAX_AGE"] = 0  # noqa: F405
    # A test's rows need not outlive the machine; the programs that tests start and kill wait for the disk as ever.
    DATABASES["default"].setdefault("OPTIONS", {})["options"] = "-c synchronous_commit=off"  # noqa: F405
