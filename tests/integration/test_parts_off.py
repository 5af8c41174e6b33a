"""A whole platform in a process of its own with one part switched off: the others work, and it says what is off."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.support.platform_process import Platform, until
from vsm_site.components import SWITCHES

MANY = 40  # pains of high severity in a row: ten a minute are let through, however slow the machine asks

pytestmark = pytest.mark.embedded


def refused(platform: Platform) -> bool:
    """Return whether the limiter refuses one of many pains."""
    try:
        for number in range(MANY):
            platform.hurt(f"pump-{number}")
    except AssertionError as error:
        return "rate_limited" in str(error)
    return False


def handled(platform: Platform) -> bool:
    """Return whether a worker of the platform has heard a pain, and the log has sealed it."""
    told = platform.ask("events/?type=AlgedonicSignalEmitted")["results"]
    messages = platform.ask("messages/?channel=algedonic")["results"]
    return bool(told) and any(each["state"] == "handled" for each in messages)


@pytest.mark.parametrize("off", sorted(SWITCHES))
def test_a_platform_with_a_part_off_works_and_says_so(off: str, tmp_path: Path, migrated: Path) -> None:
    """A roll-out takes one part after the other (004-41); what is off is not ill, and takes nothing else along."""
    platform = Platform(tmp_path, migrated, **{f"VSM_{SWITCHES[off]}": "off"})
    try:
        limited = refused(platform)
        until(lambda: handled(platform), seconds=240, what="a pain is heard and sealed")
        answer = platform.offer("pump", pressure=2.5).json()
        told = platform.ask("components/")["components"]
        page = httpx.get(f"{platform.url}/health", timeout=60)
    finally:
        stopped = platform.stop()

    assert limited is (off != "rate_limiter")
    assert answer["accepted"] == (0 if off == "telemetry" else 1)
    assert [each["code"] for each in answer.get("rejected", [])] == (["telemetry_off"] if off == "telemetry" else [])
    assert [part for part, each in told.items() if each["status"] == "off"] == [off]
    assert (page.status_code, stopped) == (200, 0)
