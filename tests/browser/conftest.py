"""A platform, a Chromium, and a page in which somebody is logged in and nothing may go wrong unseen."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, StorageState, sync_playwright

from tests.support.chromium import FLAGS
from tests.support.platform_process import PASSWORD, Platform

Open = Callable[..., Page]


@pytest.fixture(scope="package")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """One platform for all browser tests: they show that it runs for a while, too."""
    running = Platform(tmp_path_factory.mktemp("home"))
    yield running
    assert running.stop() == 0, running.log.read_text()[-2000:]


@pytest.fixture(scope="package")
def browser(chromium: str) -> Iterator[Browser]:
    """One Chromium. Package-wide and no longer: while it lives, this thread cannot run asynchronous tests."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="package")
def session(browser: Browser, platform: Platform) -> StorageState:
    """The cookies of somebody who has logged in through the form."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(platform.url)
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{platform.url}/dashboard/")
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def open_page(browser: Browser, session: StorageState, platform: Platform) -> Iterator[Open]:
    """Open pages; whatever their consoles say (a refused script or style too) fails the test."""
    contexts: list[BrowserContext] = []
    trouble: list[str] = []

    def open_(path: str = "/dashboard/", *, width: int = 1280, before: Callable[[Page], None] | None = None) -> Page:
        contexts.append(browser.new_context(storage_state=session, viewport={"width": width, "height": 800}))
        page = contexts[-1].new_page()
        page.set_default_timeout(15_000)
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
