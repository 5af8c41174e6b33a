"""Signals, events and dead letters as a person meets them, in a real browser against a real platform."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.support.platform_process import Platform

Open = Callable[..., Page]


def raise_pain(page: Page, source: str, severity: str) -> None:
    page.goto(page.url.split("/dashboard")[0] + "/dashboard/signals/raise/")
    page.get_by_label("Severity").select_option(severity)
    page.get_by_label("Source").fill(source)
    page.get_by_label("Description").fill(f"{source} needs somebody")
    page.get_by_role("button", name="Raise it").click()
    expect(page.locator("h1")).to_have_text(source)


def test_a_critical_signal_is_seen_at_once_elsewhere_and_followed_to_its_end(open_page: Open) -> None:
    """Raised in one tab, it appears in the others, is answered there, and leaves them all; nobody reloads."""
    listing, overview = open_page("/dashboard/signals/"), open_page()
    expect(listing.locator("#connection")).to_have_text("Live")
    expect(overview.locator("#connection")).to_have_text("Live")
    mine = open_page("/dashboard/signals/raise/")
    mine.get_by_label("Severity").select_option("high")
    expect(mine.locator("#preview")).to_contain_text("S4, S5")
    mine.get_by_label("Severity").select_option("critical")
    expect(mine.locator("#preview")).to_contain_text("within 30 s")

    raise_pain(mine, "boiler-1", "critical")
    shown = listing.locator("#signals .alert-item", has_text="boiler-1")
    expect(shown).to_contain_text("critical pain")
    expect(listing.locator("#record")).to_contain_text("boiler-1")
    expect(overview.locator("#urgent-list .alert-item", has_text="boiler-1")).to_be_visible()
    expect(mine.locator("#story")).to_contain_text("s5.signals")

    mine.get_by_placeholder("Comment").fill("On my way")
    mine.get_by_role("button", name="Acknowledge").click()
    expect(mine.locator("#history")).to_contain_text("On my way")
    expect(mine.locator("#state")).to_have_text("Investigating")
    expect(mine.get_by_role("button", name="Acknowledge")).to_be_hidden()
    expect(shown).to_contain_text("investigating by admin")

    shown.get_by_role("button", name="Resolve").click()
    expect(shown).to_have_count(0)
    expect(overview.locator("#urgent-list .alert-item", has_text="boiler-1")).to_have_count(0)
    expect(mine.locator("#state")).to_have_text("Resolved")
    expect(mine.locator("#verbs")).to_be_hidden()


def test_the_lane_shows_that_its_canaries_come_through(open_page: Open) -> None:
    """Silence of the lane must not look like calm."""
    page = open_page("/dashboard/signals/")

    expect(page.locator("#lane .badge")).to_have_text("Alive", timeout=30_000)
    expect(page.locator("#lane")).to_contain_text(re.compile(r"p99[\d.]+ m?s"))
    expect(page.locator("[data-channel]")).to_have_count(6)


def test_a_dead_letter_is_found_and_replayed(open_page: Open, platform: Platform) -> None:
    """Nobody listens to this message: it dies with its reason, and is sent again when a person says so."""
    platform.say({"channel": "coordination", "from": "s2", "to": "s1", "type": "pump.asked", "payload": {"valve": 7}})
    page = open_page("/dashboard/events/")
    page.get_by_role("link", name="Dead letters").click()
    letter = page.locator(".letter", has_text="pump.asked")
    for _ in range(50):
        if letter.count():
            break
        page.wait_for_timeout(100)
        page.reload()
    expect(letter).to_contain_text("no_handler")
    expect(letter).to_contain_text("Nobody listens to pump.asked for s1.")

    letter.get_by_role("button", name="Replay").click()
    expect(page.locator(".messages")).to_contain_text("sent again, with three new tries")
    expect(page.locator(".letter", has_text="Replayed by admin")).to_be_visible()

    page.locator(".letter", has_text="Replayed by admin").get_by_role("link", name="pump.asked").click()
    expect(page.locator(".timeline")).to_contain_text("replayed")
    expect(page.locator(".json").first).to_contain_text('"valve": 7')


def test_an_event_is_found_its_data_opened_and_its_journey_followed(open_page: Open) -> None:
    """From one event to everything that belongs to it, in the order of time."""
    page = open_page()
    raise_pain(page, "kettle-7", "medium")
    page.get_by_role("link", name="Events").click()
    found = page.locator(".event-rows tbody tr", has_text="AlgedonicSignalEmitted")
    for _ in range(50):
        page.get_by_label("Text in type, data or actor").fill("kettle-7")
        page.get_by_role("button", name="Search").click()
        if found.count():
            break
        page.wait_for_timeout(100)
    data = found.locator("pre")
    expect(data).to_be_hidden()
    found.locator("summary").click()
    expect(data).to_contain_text('"source": "kettle-7"')

    found.get_by_role("link", name="Whole journey").click()
    steps = page.locator(".timeline li")
    expect(steps.first).to_contain_text("+0 ms")
    expect(steps.first).to_contain_text("AlgedonicSignalEmitted")
    expect(page.locator(".timeline")).to_contain_text("s3.signals")


def test_the_chain_is_verified_from_its_page(open_page: Open) -> None:
    """On a worker, while the page waits for its word."""
    page = open_page("/dashboard/events/")
    page.get_by_role("button", name="Verify now").click()

    expect(page.locator("#chain .badge")).to_contain_text("Whole:")
