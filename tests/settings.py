"""The platform's own settings, in a home of their own so that a test run never meets a running platform's files."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile


def _own_home() -> None:
    """Give this run an empty home unless the caller chose one; an empty home has its own key and database."""
    if "VSM_HOME" in os.environ:
        return
    home = tempfile.mkdtemp(prefix="vsm-tests-")
    os.environ["VSM_HOME"] = home
    atexit.register(shutil.rmtree, home, ignore_errors=True)


_own_home()
# Importing the package configures Celery, which reads Django's settings: it must find whole ones, not these halfway.
os.environ["DJANGO_SETTINGS_MODULE"] = "vsm_site.settings"

from vsm_site.settings import *  # noqa: E402, F403  (reads VSM_HOME)

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # tests log in often; strength is Django's to test
if DATABASES["default"]["ENGINE"] != "django.db.backends.sqlite3":  # noqa: F405
    # A name of this run: whoever else tests on the same server must not drop the database under it.
    DATABASES["default"]["TEST"] = {"NAME": f"test_vsm_{os.getpid()}"}  # noqa: F405
    # Threads that outlive a test give their connections back after each piece of work.
    DATABASES["default"]["CONN_MAX_AGE"] = 0  # noqa: F405
