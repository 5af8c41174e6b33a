"""A platform, a Chromium, and a page in which somebody is logged in and nothing may go wrong unseen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, StorageState, expect, sync_playwright

from tests.support.chromium import FLAGS
from tests.support.platform_process import PASSWORD, Platform

Open = Callable[..., Page]
PATIENCE_MS = 20_000  # for what comes by itself; a machine that runs everything else beside is slow


@pytest.fixture(scope="package")
def platform(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Platform]:
    """One platform for all browser tests: they show that it runs for a while, too."""
    running = Platform(tmp_path_factory.mktemp("home"), migrated)
    yield running
    assert running.stop() == 0, running.log.read_text()[-2000:]


@pytest.fixture(scope="package")
def browser(chromium: str, migrated: Path) -> Iterator[Browser]:
    """One Chromium. Package-wide and no longer: while it lives, this thread cannot run asynchronous tests.

    Nor can Django be asked anything in it then: what platforms begin with is made before.
    """
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="package")
def session(browser: Browser, platform: Platform) -> StorageState:
    """The cookies of somebody who has logged in through the form."""
    return logged_in(browser, platform)


def logged_in(browser: Browser, platform: Platform, name: str = "admin", password: str = PASSWORD) -> StorageState:
    """Log in through the form, and return the cookies."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(platform.url)
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{platform.url}/dashboard/")
    state = context.storage_state()
    context.close()
    return state


def listening(page: Page) -> Page:
    """Wait until all scripts of *page* hear keys and clicks, which only then connects."""
    expect(page.locator("#connection")).to_have_text("Live")
    return page


@pytest.fixture
def open_page(browser: Browser, session: StorageState, platform: Platform) -> Iterator[Open]:
    """Open pages; whatever their consoles say (a refused script or style too) fails the test."""
    contexts: list[BrowserContext] = []
    trouble: list[str] = []

    def open_(
        path: str = "/dashboard/", *, width: int = 1280, before: Callable[[Page], None] | None = None, **device: Any
    ) -> Page:
        """Open *path* on a *device*: what Playwright is told of the browser in place of a plain one of this width."""
        plain = {"storage_state": session, "viewport": {"width": width, "height": 800}}
        contexts.append(browser.new_context(**{**plain, **device}))
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda said: trouble.append(said.text) if said.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: trouble.append(str(error)))
        if before:
            before(page)
        page.goto(platform.url + path)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert trouble == []
