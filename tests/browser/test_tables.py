"""Lists and charts in a browser: headers that sort, columns that are kept, one time range for all pages."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.support.platform_process import Platform

Open = Callable[..., Page]
TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


def test_units_are_sorted_and_their_columns_kept(open_page: Open, platform: Platform) -> None:
    """By the header, then by the menu; the live table of the overview has columns of its own."""
    page = open_page("/dashboard/units/")
    page.get_by_role("columnheader", name="Last seen").get_by_role("link").click()
    expect(page.locator("th[aria-sort=ascending]")).to_have_text(re.compile("Last seen"))

    page.get_by_text("Columns and order").click()
    page.get_by_label("Last error").check()
    page.get_by_label("Fleet").uncheck()
    page.get_by_role("button", name="Keep").click()
    expect(page.get_by_role("columnheader", name="Last error")).to_be_visible()
    page.goto(f"{platform.url}/dashboard/units/")
    expect(page.get_by_role("columnheader", name="Last error")).to_be_visible()
    expect(page.get_by_role("columnheader", name="Fleet")).to_have_count(0)

    page.goto(f"{platform.url}/dashboard/?view=performance&columns=name,seen")
    expect(page.locator("#units tr").first.locator("td")).to_have_count(2)
    expect(page.locator("#units .seen").first).to_have_text(re.compile("ago|just now|never"))


@pytest.mark.parametrize("path", ["/dashboard/units/", "/dashboard/tasks/", "/dashboard/?view=performance"])
def test_lists_fit_a_telephone(open_page: Open, path: str) -> None:
    """With the menu open, too; there the orders are, for a narrow list has no headers."""
    page = open_page(path, width=360)
    page.get_by_text("Columns and order").click()

    expect(page.get_by_role("button", name="Keep")).to_be_visible()
    assert page.evaluate(TOO_WIDE) <= 0


@pytest.mark.parametrize("path", ["/dashboard/systems/s1/", "/dashboard/variety/", "/dashboard/?view=performance"])
def test_a_range_is_kept_in_the_address(open_page: Open, path: str) -> None:
    """Chosen, shared, held and given back to now, the same on every page."""
    page = open_page(path)
    expect(page.locator("#range-state")).to_have_text("live")
    page.locator("button.range[data-range='6h']").click()
    expect(page).to_have_url(re.compile("range=6h"))
    page.reload()
    expect(page.locator("button.range[aria-pressed=true]")).to_have_text("6h")
    expect(page.locator("#range-state")).to_have_text("live")

    page.get_by_text("From, to…").click()
    page.locator("#between [name=from]").fill("2026-01-01T10:00")
    page.locator("#between [name=to]").fill("2026-01-01T12:00")
    page.locator("#between").get_by_role("button").click()
    expect(page).to_have_url(re.compile("from=1767"))
    expect(page.locator("#range-state")).to_contain_text("held")
    page.go_back()
    expect(page.locator("#range-state")).to_have_text("live")


def test_what_is_long_is_no_wider_than_a_phone(open_page: Open) -> None:
    """A path or an address has no space to break at."""
    page = open_page("/dashboard/configuration/", width=360)
    page.evaluate("""() => {
        for (const cell of document.querySelectorAll("td:not(:has(.badge))")) cell.append("redis://" + "x".repeat(80));
        const letter = document.createElement("article");
        letter.className = "letter";
        letter.innerHTML = '<div class="title-row"><div class="letter-what"><span></span></div></div><p></p>';
        for (const each of letter.querySelectorAll("span, p")) each.textContent = "/srv/" + "x".repeat(80);
        document.querySelector("main").append(letter);
    }""")

    wide = (
        "() => [...document.querySelectorAll('html, .table-wrap')].filter((e) => e.scrollWidth > e.clientWidth).length"
    )
    assert page.evaluate(wide) == 0
