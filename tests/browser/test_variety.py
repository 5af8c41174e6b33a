"""Operations and variety, seen in a browser while a real application works."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.support.platform_process import Platform
from vsm_client import Client

Open = Callable[..., Page]
TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


def test_an_applications_operations_are_on_the_page_of_its_unit(open_page: Open, platform: Platform) -> None:
    """Decorated with the client, and nothing else done: counts, quantiles, errors and the three-way panel."""
    with Client(platform.url, token=platform.token(), source="shop-browser") as vsm:

        @vsm.operation("charge")
        def charge(amount: int) -> int:
            return 100 // amount

        for amount in (1, 2, 4, 5) * 3:
            charge(amount)
        with pytest.raises(ZeroDivisionError):
            charge(0)
    platform.trigger("variety.read_now")

    page = open_page("/dashboard/units/?q=shop-browser")
    page.get_by_role("link", name="shop-browser").click()
    row = page.locator("tr[data-operation=charge]")
    expect(row).to_contain_text("13", timeout=45_000)  # merged every 10 s, asked for every 10 s, read every 30 s
    expect(row).to_contain_text("92.3 %")
    expect(row.locator("summary")).to_have_text("ZeroDivisionError: integer division or modulo by zero")
    row.locator("summary").press("Enter")
    expect(row.locator("details")).to_have_attribute("open", "")


@pytest.mark.parametrize("width", [1280, 390])
def test_the_variety_page_shows_the_panel(open_page: Open, platform: Platform, width: int) -> None:
    """The platform's own work is enough: it comes alive by itself, and fits a telephone."""
    platform.trigger("variety.read_now")
    page = open_page("/dashboard/variety/", width=width)

    # A platform that has only just begun has its first reading within half a minute.
    expect(page.locator("[data-side=environment]")).to_contain_text("bits", timeout=45_000)
    expect(page.locator("[data-balance=operation] .balance-ratio")).to_have_text(re.compile(r"\d\.\d\d"))
    expect(page.locator("#history canvas")).to_be_visible()
    expect(page.locator("#by-unit tbody tr").first).to_be_visible()
    assert page.evaluate(TOO_WIDE) <= 0
