"""Finding one's way by the search, and looking at any series beside another in Explore."""

from __future__ import annotations

import csv
import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, StorageState, expect

from tests.browser.conftest import logged_in
from tests.support.platform_process import Platform

Open = Callable[..., Page]
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def oven(platform: Platform) -> str:
    """A unit that told its temperature for half an hour, and the number of its loaves."""
    name = "oven-of-the-search"
    for minutes in range(30, -1, -1):
        platform.push(name, ago=60 * minutes, oven_celsius=200 + minutes, loaves=float(minutes))
    return name


def search(page: Page, key: str = "/") -> tuple[Locator, Locator]:
    """Open the search by its key once the page listens; return its field and its list."""
    expect(page.locator("#connection")).to_have_text("Live")
    page.keyboard.press(key)
    field = page.get_by_role("combobox", name="Units, tasks, rules, pages")
    expect(field).to_be_focused()
    return field, page.get_by_role("listbox", name="Found")


def test_a_unit_is_found_by_keys_from_any_page(open_page: Open, oven: str) -> None:
    """One letter is enough to begin; Enter goes where the mark is."""
    page = open_page("/dashboard/events/")
    field, found = search(page)
    page.keyboard.type("n-of-the-se")
    unit = found.get_by_role("option", name=oven)
    expect(unit).to_have_attribute("aria-selected", "true")
    expect(page.locator("#search-said")).to_contain_text(re.compile(r"^\d+ found$"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text(oven)

    field, found = search(page, "Control+k")
    options = found.get_by_role("option")
    expect(options.filter(has_text="Events").first).to_be_visible()  # where one was last, before anything is typed
    page.keyboard.type("al")
    expect(options.first).to_have_attribute("aria-selected", "true")
    expect(found.get_by_role("option", name="Alerts Now", exact=True)).to_be_visible()
    page.keyboard.press("ArrowDown")
    expect(options.nth(1)).to_have_attribute("aria-selected", "true")
    expect(field).to_have_attribute("aria-activedescendant", str(options.nth(1).get_attribute("id")))
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(options.last).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Escape")
    expect(field).to_be_hidden()
    expect(page.get_by_role("heading", level=1)).to_contain_text(oven)  # nothing was gone to


def test_what_nobody_is_called_is_said_so(open_page: Open) -> None:
    """An empty answer is an answer, and what was typed too fast is what is gone to."""
    page = open_page()
    field, found = search(page)
    page.keyboard.type("no-such-thing")
    expect(page.locator("#search-said")).to_contain_text("Nothing is called so")
    expect(found.get_by_role("option")).to_have_count(0)
    expect(field).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("Enter")
    expect(field).to_be_visible()  # it leads nowhere
    field.fill("explore")
    page.keyboard.press("Enter")  # sooner than the list is asked for
    page.wait_for_url(re.compile("/dashboard/explore/"))
    page.keyboard.press("/")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Search")).to_be_hidden()


def test_pages_one_was_on_are_offered_first_and_forgotten_at_the_log_out(browser: Browser, platform: Platform) -> None:
    """The next person at this browser learns nothing of the one before."""
    context = browser.new_context(storage_state=logged_in(browser, platform))
    page = context.new_page()
    page.goto(f"{platform.url}/dashboard/signals/")
    page.goto(f"{platform.url}/dashboard/scores/")
    page.goto(f"{platform.url}/dashboard/")
    _, found = search(page)
    recent = found.get_by_role("group", name="Recent").get_by_role("option")
    expect(recent).to_have_text(["Scores", "Signals"])
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/dashboard/signals/"))
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url(re.compile("/login/"))
    assert page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('vsm.recent'))") == []
    context.close()


def test_the_search_is_a_page_where_no_script_runs(
    browser: Browser, session: StorageState, platform: Platform, oven: str
) -> None:
    """The same answers by a plain form."""
    context = browser.new_context(storage_state=session, java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{platform.url}/dashboard/alerts/")
    page.get_by_role("link", name="Search", exact=True).click()
    page.get_by_role("searchbox", name="Units, tasks, rules, pages").fill("no-such-thing")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("Nothing is called so.")).to_be_visible()
    page.get_by_role("searchbox").fill(oven)
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name=oven).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(oven)
    context.close()


def add_series(page: Page, metric: str, unit: str = "", **choices: str) -> None:
    """Fill in the form and press Add, by keys."""
    page.get_by_label("Metric").fill(metric)
    page.get_by_label("Unit", exact=True).fill(unit)
    for label, value in choices.items():
        page.get_by_label(label).select_option(label=value)
    page.get_by_label("Metric").press("Enter")


def test_series_are_compared_and_the_address_shows_the_same_elsewhere(open_page: Open, oven: str) -> None:
    """Two series, two axes, a range; and somebody else opens the link."""
    page = open_page("/dashboard/explore/")
    expect(page.locator("#explore-empty")).to_be_visible()
    add_series(page, "oven_celsius", oven)
    add_series(page, "loaves", oven, Function="max", Axis="right")
    chosen = page.get_by_role("list", name="Chosen series")
    expect(chosen.get_by_role("listitem")).to_have_count(2)
    chart = page.get_by_role("region", name=re.compile(f"oven celsius · {oven} and max loaves · {oven}", re.I))
    expect(chart.locator("canvas")).to_be_visible()
    expect(chart).to_contain_text("most 230")
    page.get_by_role("button", name="15m").press("Enter")
    expect(page.get_by_role("button", name="15m")).to_have_attribute("aria-pressed", "true")
    expect(chart).not_to_contain_text("most 230")
    legend = chart.get_by_role("button", name=re.compile("loaves"))
    legend.press("Enter")
    expect(legend).to_have_attribute("aria-pressed", "false")

    same = open_page(page.url[page.url.index("/dashboard") :])
    expect(same.get_by_role("list", name="Chosen series").get_by_role("listitem")).to_have_count(2)
    expect(same.get_by_role("button", name="15m")).to_have_attribute("aria-pressed", "true")
    expect(same.get_by_role("region", name=re.compile("and max loaves", re.I)).locator("canvas")).to_be_visible()
    same.get_by_role("button", name=re.compile("^Remove .*loaves")).click()
    expect(same.get_by_role("region", name=re.compile("loaves"))).to_have_count(0)
    assert "loaves" not in same.url


def test_a_series_of_which_nothing_was_heard_says_so(open_page: Open, oven: str) -> None:
    """Beside another it would have no line and no word; nor would a forecast that there is not yet."""
    both = f"s=avg|||oven_celsius|{oven}&s=avg|||no_such_metric|{oven}"
    page = open_page(f"/dashboard/explore/?{both}&range=1h&forecast=1")
    chosen = page.get_by_role("list", name="Chosen series").get_by_role("listitem")

    expect(chosen.nth(1)).to_contain_text("nothing heard in this range")
    expect(chosen.nth(0)).not_to_contain_text("nothing heard")
    expect(page.locator("#panels")).to_contain_text(re.compile("There is no forecast of it yet|naive"))


def test_what_is_shown_is_taken_along_as_numbers_and_as_a_picture(open_page: Open, oven: str, tmp_path: Path) -> None:
    """The files hold what the chart does."""
    page = open_page(f"/dashboard/explore/?s=avg|||oven_celsius|{oven}&range=1h")
    expect(page.locator("#panels canvas")).to_be_visible()
    page.get_by_text("The numbers as a table").press("Enter")
    shown = page.locator("#numbers-table tbody tr")
    expect(shown.first).to_be_visible()

    with page.expect_download() as numbers:
        page.get_by_role("button", name="CSV").press("Enter")
    numbers.value.save_as(tmp_path / "explore.csv")
    head, *rows = csv.reader((tmp_path / "explore.csv").read_text().splitlines())
    assert head[0] == "at"
    assert oven in head[1]
    assert {200.0, 230.0} <= {float(row[1]) for row in rows if row[1]}
    assert numbers.value.suggested_filename == "explore.csv"

    with page.expect_download() as picture:
        page.get_by_role("button", name="PNG").press("Enter")
    picture.value.save_as(tmp_path / "explore.png")
    data = (tmp_path / "explore.png").read_bytes()
    width, height = struct.unpack(">II", data[16:24])
    assert data.startswith(PNG)
    assert width > 800
    assert height > 300
