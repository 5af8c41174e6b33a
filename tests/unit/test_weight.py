"""What the embedded process does not need, it does not load."""

from __future__ import annotations

import subprocess
import sys

import pytest
from django.conf import settings

HEAVY = {
    "redis",
    "channels_redis",
    "pandas",
    "scipy",
    "pyarrow",
    "psycopg",
    "requests",
    "httpx",
    "cryptography",
    "jinja2",
}
LOAD = (
    "import django; django.setup(); import vsm_site.asgi, sys; print(*sorted({m.split('.')[0] for m in sys.modules}))"
)


@pytest.mark.skipif(not settings.EMBEDDED, reason="the services profile talks to Redis")
def test_the_embedded_process_leaves_heavy_packages_alone() -> None:
    """Redis' client alone is 30 MB, a fifth of what the whole idle process may take."""
    ran = subprocess.run([sys.executable, "-W", "ignore", "-c", LOAD], capture_output=True, text=True, check=True)

    assert HEAVY & set(ran.stdout.split()) == set()


def test_pages_the_api_and_the_admin_are_loaded_when_somebody_looks() -> None:
    """Their views are a tenth of the idle process, and of any address they are found."""
    load = "import django; django.setup(); import vsm_site.urls, sys; print({n} & set(sys.modules))"
    views = "{'vsm_site.dashboard.views', 'vsm_site.api.views', 'vsm_site.back_office.urls', 'alerts.admin'}"
    asked = load.replace("print", "from django.urls import reverse; reverse('dashboard:overview'); print")

    said = [
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code.replace("{n}", views)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for code in (load, asked)
    ]

    assert said[0] == "set()"
    assert "vsm_site.dashboard.views" in said[1]
