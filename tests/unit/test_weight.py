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
