"""The platform's own settings, with one more application: what the faults' handlers do is a row each."""

from __future__ import annotations

import os

# Importing the package configures Celery, which reads Django's settings: it must find whole ones, not these halfway.
os.environ["DJANGO_SETTINGS_MODULE"] = "vsm_site.settings"
from vsm_site.settings import *  # noqa: F403

os.environ["DJANGO_SETTINGS_MODULE"] = __name__

INSTALLED_APPS = ["benchmarks.faults.effects", *INSTALLED_APPS]  # noqa: F405
