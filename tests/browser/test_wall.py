"""Pages on a wall: nobody sits there, so they say when they are not true and come back by themselves."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, StorageState, expect

from tests.browser.conftest import PATIENCE_MS, logged_in
from tests.support.platform_process import PASSWORD, Platform
from tests.support.wire import Wire

Hang = Callable[..., Page]
CONTROLS = "button, input, select, textarea"
A_MINUTE = 61_000  # and a little: after so long without a connection there may be a new release
ROUND_MS = 10_000
LOOKS_AGAIN_MS = 30_000


@pytest.fixture
def wire(platform: Platform) -> Iterator[Wire]:
    wire = Wire(platform.port)
    yield wire
    wire.cut()


@pytest.fixture
def hang(browser: Browser, session: StorageState, wire: Wire) -> Iterator[Hang]:
    """Hang pages on a wall, with a clock that can be put forward; what a cut wire makes the console say is no fault."""
    contexts: list[BrowserContext] = []

    def hang_(path: str, **device: Any) -> Page:
        usual = {"storage_state": session, "viewport": {"width": 1920, "height": 1080}, "base_url": wire.url}
        contexts.append(browser.new_context(**{**usual, **device}))
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.clock.install()
        page.goto(path)
        expect(page.locator("body")).to_have_attribute("data-wall", "live")
        page.evaluate("document.body.dataset.first = 'yes'")
        return page

    yield hang_
    for context in contexts:
        context.close()


def said(page: Page) -> Locator:
    """Return the line that tells what is wrong."""
    return page.get_by_role("alert").filter(has=page.locator("#wall-login"))


def comes_back_anew(page: Page) -> None:
    """Wait until the page was loaded again, and is live."""
    expect(page.locator("body[data-first]")).to_have_count(0)
    expect(page.locator("body")).to_have_attribute("data-wall", "live")


@pytest.fixture(scope="module")
def views(browser: Browser, session: StorageState, platform: Platform) -> str:
    """The address of a round of two views, each for as short as may be."""
    context = browser.new_context(storage_state=session)
    page = context.new_page()
    for name, path in (
        ("Alerts of the round", "/dashboard/alerts/?q=round"),
        ("Model of the round", "/dashboard/model/"),
    ):
        page.goto(f"{platform.url}/dashboard/views/?of={path}")
        page.locator("[name=name]").last.fill(name)
        page.get_by_role("button", name="Keep it").click()
        page.get_by_role("link", name=name).wait_for()
    for name in ("Alerts of the round", "Model of the round"):
        page.get_by_role("checkbox", name=name).check()
    page.get_by_label("Seconds for each").fill("10")
    page.get_by_role("button", name="Show them").click()
    page.wait_for_url(re.compile("wall=1"))
    address = page.url.removeprefix(platform.url)
    context.close()
    return address


@pytest.mark.parametrize("path", ["/dashboard/", "/dashboard/model/", "/dashboard/alerts/"])
def test_a_wall_has_nothing_to_press(hang: Hang, path: str) -> None:
    """Whoever passes by reads it; only the clock shows that it lives."""
    page = hang(f"{path}?wall=1")

    expect(page.locator("#wall-state")).to_have_text("Live")
    expect(page.locator("#wall-clock")).to_have_text(re.compile(r"^\d\d:\d\d:\d\d$"))
    expect(page.locator(CONTROLS).filter(visible=True)).to_have_count(0)
    expect(page.locator(".site-header")).to_be_hidden()
    expect(page.locator("#sidebar")).to_be_hidden()


def test_a_wall_says_that_its_numbers_are_old_and_comes_back(hang: Hang, wire: Wire) -> None:
    """The server is gone for a moment: what stands there stays, and is called what it is."""
    page = hang("/dashboard/?wall=1")
    expect(said(page)).to_be_hidden()

    wire.cut()
    expect(page.locator("body")).to_have_attribute("data-wall", "lost")
    expect(said(page)).to_contain_text(re.compile(r"Connection lost these numbers are .+ old, of \d\d:\d\d:\d\d"))
    expect(page.locator("body")).to_have_css("outline-style", "solid")
    expect(page.locator("#wall-state")).to_have_text("Connection lost")

    wire.mend()
    expect(page.locator("body")).to_have_attribute("data-wall", "live")
    expect(said(page)).to_be_hidden()
    expect(page.locator("body[data-first]")).to_have_count(1)


def test_a_wall_is_loaded_anew_after_a_long_time_away(hang: Hang, wire: Wire) -> None:
    """There may be a new release by then, and nobody is there to press a key."""
    page = hang("/dashboard/?wall=1")
    wire.cut()
    expect(page.locator("body")).to_have_attribute("data-wall", "lost")
    page.clock.fast_forward(A_MINUTE)
    expect(said(page)).to_contain_text("these numbers are 1 min")

    wire.mend()
    comes_back_anew(page)


def test_a_wall_waits_for_somebody_to_log_in_again(hang: Hang, browser: Browser, platform: Platform) -> None:
    """A session ends; the screen says so, and goes on when somebody has logged in in another tab."""
    page = hang("/dashboard/?wall=1", storage_state=logged_in(browser, platform))
    other = page.context.new_page()
    other.goto("/dashboard/")
    other.get_by_role("button", name="Log out").click()
    expect(said(page)).to_contain_text("Nobody is logged in here")
    expect(page.get_by_role("link", name="Log in again")).to_be_visible()

    other.goto("/dashboard/")
    other.get_by_label("Username").fill("admin")
    other.get_by_label("Password").fill(PASSWORD)
    other.get_by_role("button", name="Log in").click()
    other.wait_for_url(re.compile("/dashboard/$"))
    page.clock.fast_forward(LOOKS_AGAIN_MS)
    comes_back_anew(page)


def test_a_round_rests_while_the_server_is_gone_and_goes_on_by_itself(hang: Hang, views: str, wire: Wire) -> None:
    """A page of the browser's own would never come back: it stays where it is until there is an answer."""
    page = hang(views)
    wire.cut()
    expect(page.locator("body")).to_have_attribute("data-wall", "lost")
    page.clock.fast_forward(A_MINUTE)
    expect(said(page)).to_contain_text("Connection lost")

    wire.mend()
    comes_back_anew(page)
    assert "/dashboard/alerts/" in page.url
    page.wait_for_url(re.compile("/dashboard/model/"), timeout=A_MINUTE)
    expect(page.locator("body")).to_have_attribute("data-wall", "live")
    page.keyboard.press("ArrowRight")
    page.wait_for_url(re.compile("/dashboard/alerts/"))


def test_a_round_rests_where_less_motion_is_asked_for(hang: Hang, views: str) -> None:
    """And says why; a person may go on by hand."""
    page = hang(views, reduced_motion="reduce")
    expect(page.locator("#wall-rests")).to_be_visible()
    page.clock.fast_forward(ROUND_MS)
    expect(page.locator("body[data-first]")).to_have_count(1)
    page.keyboard.press("ArrowRight")
    page.wait_for_url(re.compile("/dashboard/model/"))


def test_the_keys_of_a_wall_hold_it_and_leave_it(hang: Hang) -> None:
    """Space and Escape are the wall's, unless a dialog is open or a modifier makes them somebody else's."""
    page = hang("/dashboard/?wall=1")
    page.keyboard.press("Space")
    expect(said(page)).to_contain_text("Paused")
    page.keyboard.press("Control+Space")
    expect(said(page)).to_contain_text("Paused")
    page.keyboard.press("Space")
    expect(said(page)).to_be_hidden()

    page.keyboard.press("/")
    field = page.get_by_role("combobox", name="Units, tasks, rules, pages")
    expect(field).to_be_focused()
    page.keyboard.type("two words")
    expect(field).to_have_value("two words")
    page.keyboard.press("Escape")
    expect(field).to_be_hidden()
    expect(page.locator("body[data-first]")).to_have_count(1)

    page.keyboard.press("Escape")
    page.wait_for_url(re.compile("/dashboard/$"))
    expect(page.locator(".site-header")).to_be_visible()
