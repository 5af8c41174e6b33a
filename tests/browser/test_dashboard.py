"""What a person sees and does, in a real browser against a real platform."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.browser.conftest import listening
from tests.support.platform_process import PASSWORD, Platform, until

Open = Callable[..., Page]
FOCUSED = """() => {
    const one = document.activeElement;
    const name = one.tagName === "BODY" ? "BODY" : one.id || one.className || one.textContent;
    return [name, getComputedStyle(one).outlineStyle];
}"""


class Frames:
    """What a page's socket was told."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    def listen(self, page: Page) -> None:
        page.on("websocket", lambda socket: socket.on("framereceived", self._take))

    def _take(self, payload: str | bytes) -> None:
        self.messages.append(json.loads(payload))

    def assessed_at(self) -> set[str]:
        """Return the moments of the assessments heard of."""
        first = [message["body"]["viability"] for message in self.messages if message["type"] == "snapshot"]
        later = [
            change["body"]
            for message in self.messages
            for change in message.get("changes", [])
            if change["kind"] == "assessment"
        ]
        return {body["assessed_at"] for body in first + later if body["assessed_at"]}


def waiting(page: Page, met: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Wait while the page goes on; events only arrive while Playwright runs."""

    def turn() -> bool:
        page.wait_for_timeout(50)
        return met()

    until(turn, seconds=seconds, what=what)


def test_the_overview_comes_alive_within_40_seconds(open_page: Open) -> None:
    """The promise to a newcomer: true numbers of this machine, judged twice, without a click."""
    frames = Frames()
    page = open_page("/dashboard/?view=performance", before=frames.listen)
    host = page.locator("tr[data-kind=host]")
    worker = page.locator("tr[data-kind=celery_worker]")

    values = set()

    def changes() -> bool:
        # Both, because on a machine that is busy throughout the host's own number stands still at 100 %.
        values.add((host.locator(".value").inner_text(), worker.locator(".value").inner_text()))
        return len(values) > 2

    waiting(page, changes, seconds=20, what="changing values")
    waiting(page, lambda: len(frames.assessed_at()) >= 2, seconds=40, what="two assessments")

    expect(worker.locator(".value")).to_contain_text("/s")
    ages = page.locator("tr[data-kind=celery_queue] .seen").all_inner_texts() + [host.locator(".seen").inner_text()]
    assert all(re.fullmatch(r"just now|\d s ago|1\d s ago", age) for age in ages), ages  # whose health never changed
    page.get_by_role("link", name="Viability", exact=True).first.click()
    expect(page.locator("#score")).to_have_text(re.compile(r"^[01]\.\d{3}$"))
    adds = [float(text) for text in page.locator(".parts tbody td:last-child").all_inner_texts()]
    assert sum(adds) == pytest.approx(float(page.locator("#score").inner_text()), abs=1e-9)
    expect(page.locator(".card")).to_have_count(5)
    expect(page.locator(".card", has_text="S5 Policy")).to_contain_text("unknown")
    expect(page.get_by_role("link", name=re.compile("^S5 Policy, "))).to_be_visible()  # in the diagram
    expect(page.locator(".tile", has_text="Viability").locator("dd").first).to_have_text(re.compile(r"^[01]\.\d\d$"))


def test_a_rule_made_here_fires_is_acknowledged_and_resolves(open_page: Open, platform: Platform) -> None:
    """The whole way of an alert, without a reload."""
    platform.push("billing-1", orders_waiting=3)
    form = open_page("/dashboard/alerts/rules/add/")
    form.get_by_label("Name").fill("Orders pile up")
    form.get_by_label("Metric").fill("orders_waiting")
    form.get_by_label("Threshold").fill("10")
    expect(form.locator("#preview")).to_contain_text("Would match: 0 of 1")
    form.get_by_label("Threshold").fill("2")
    expect(form.locator("#preview")).to_contain_text("Would match: 1 of 1")
    form.get_by_label("Threshold").fill("10")
    form.get_by_label("Severity").select_option("critical")
    form.get_by_role("button", name="Save").click()
    expect(form.locator(".messages")).to_contain_text("Orders pile up is saved")

    page = open_page()
    record = open_page("/dashboard/alerts/")
    for each in (page, record):
        expect(each.locator("#connection")).to_have_text("Live")
    platform.push("billing-1", orders_waiting=50)
    started = time.monotonic()
    alert = page.locator(".alert-item", has_text="Orders pile up")
    expect(alert).to_contain_text("firing")
    assert time.monotonic() - started < 10

    expect(alert).to_contain_text("billing-1: 50 (limit > 10)")
    alert.get_by_role("button", name="Acknowledge").click()
    expect(alert).to_contain_text("acknowledged by admin")
    expect(alert.get_by_role("button", name="Acknowledge")).to_be_hidden()

    platform.push("billing-1", orders_waiting=1)
    expect(alert).to_have_count(0)
    expect(record.locator(".alert-rows tr", has_text="Orders pile up")).to_contain_text("resolved")
    resolved = open_page("/dashboard/alerts/?state=resolved")
    expect(resolved.locator(".alert-rows")).to_contain_text("Orders pile up")


def test_the_pages_of_the_api_draw_themselves_under_the_policy(open_page: Open, platform: Platform) -> None:
    """They are the framework's, and style themselves from within; their scripts are files as everywhere."""
    page = open_page("/api/v1/units/")
    expect(page.locator("h1")).to_contain_text("Unit List")
    page.goto(f"{platform.url}/api/docs/")
    expect(page.locator(".opblock").first).to_be_visible()


def test_everything_is_reached_by_the_keyboard(open_page: Open) -> None:
    """Tab goes to the content at once, through every control, and always shows where it is."""
    page = open_page("/dashboard/?view=performance")
    expect(page.locator("#units tr").first).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to main content")).to_be_focused()

    seen = set()
    for _ in range(90):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(FOCUSED)
        seen.add(name)
        assert outline != "none" or name == "BODY"

    assert {"brand", "Rules", "theme-toggle bare", "unit-filter", "kind-filter", "unit-name"} <= seen


def test_the_theme_is_chosen_as_in_the_admin_and_stays(open_page: Open) -> None:
    """One choice for both: the admin's key in the browser's storage."""
    page = open_page()
    page.get_by_role("button", name="Change the theme").click()
    chosen = page.locator("html").get_attribute("data-theme")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.reload()

    assert chosen == "dark"
    assert page.evaluate("localStorage.getItem('theme')") == "dark"
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert background == page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(14, 19, 23)"


def test_a_page_that_misses_a_change_asks_for_a_new_snapshot(open_page: Open) -> None:
    """And one whose connection is lost says so and comes back: no number is shown as true that is not."""
    asked: list[str] = []
    routes: list[WebSocketRoute] = []
    dropped: list[str | bytes] = []

    def between(browser: WebSocketRoute) -> None:
        server = browser.connect_to_server()
        routes.append(browser)
        browser.on_message(lambda message: (asked.append(str(message)), server.send(message)))

        def pass_on(message: str | bytes) -> None:
            if len(routes) == 1 and not dropped and '"changes"' in str(message):
                dropped.append(message)
            else:
                browser.send(message)

        server.on_message(pass_on)

    page = open_page(before=lambda page: page.route_web_socket(re.compile("/ws/dashboard/"), between))
    waiting(page, lambda: bool(asked), seconds=15, what="a question after the gap")
    assert json.loads(asked[0]) == {"type": "snapshot"}
    expect(page.locator("#connection")).to_have_text("Live")

    routes[0].close(code=1012, reason="restart")
    expect(page.locator("#strip")).to_have_attribute("data-state", "lost")
    expect(page.locator("#connection")).to_have_text("Live")
    assert len(routes) == 2


def test_a_task_is_triggered_and_followed_to_its_result(open_page: Open) -> None:
    """A form from the task's schema, a run on a worker, its answer on the page."""
    page = open_page("/dashboard/tasks/trigger/")
    task = page.locator("form.task", has_text="diagnostics.echo")
    task.get_by_label("Text").fill("hello, worker")
    task.get_by_role("button", name="Trigger").click()

    run = page.locator(".run", has_text="diagnostics.echo").first
    expect(run).to_contain_text("succeeded")
    expect(run).to_contain_text("hello, worker")


def test_a_unit_has_a_chart_for_each_metric_and_can_be_paused(open_page: Open) -> None:
    """The page of this host."""
    page = open_page("/dashboard/?view=performance")
    page.locator("tr[data-kind=host]").locator("a").click()
    expect(page.locator(".chart[data-metric=cpu_ratio] canvas")).to_be_visible()
    page.get_by_role("button", name="1h").click()
    expect(page.get_by_role("button", name="1h")).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".chart[data-metric=memory_ratio] canvas")).to_be_visible()

    content = page.locator("#content")
    content.get_by_role("button", name="Pause").click()
    expect(page.locator("#facts")).to_contain_text("paused")
    content.get_by_role("button", name="Resume").click()
    expect(content.get_by_role("button", name="Pause")).to_be_visible()


def test_a_page_that_is_paused_looks_so(open_page: Open) -> None:
    """Its button says what a press of it does."""
    strip = listening(open_page()).locator("#strip")

    strip.get_by_role("button", name="Pause").click()

    expect(strip.get_by_role("button", name="Resume")).to_be_visible()
    expect(strip.get_by_role("button", name="Pause")).to_have_count(0)
    strip.get_by_role("button", name="Resume").click()
    expect(strip.get_by_role("button", name="Pause")).to_be_visible()


def test_flower_is_one_click_away_and_behind_a_login(open_page: Open) -> None:
    """It can revoke tasks: nobody gets there without the password."""
    page = open_page()
    address = page.get_by_role("link", name="Flower").get_attribute("href")

    assert address is not None
    assert httpx.get(address, follow_redirects=True, timeout=60).status_code == 401


def test_the_log_of_the_platform_shows_no_error_and_no_password(platform: Platform) -> None:
    """After all of the above; a person reading it must find trouble only where there was some."""
    log = platform.log.read_text()

    trouble = re.findall(r".* ERROR (?!  alerts\.lifecycle: Alert critical).*|Traceback.*|.*Warning: .*", log)
    assert trouble == []
    assert PASSWORD not in log
