"""Alerts by keyboard alone."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.support.platform_process import Platform

Open = Callable[..., Page]
# The list is asked for again, as when an alert moves on; rows that it had before are marked.
WRITE_ANEW = """() => {
  document.querySelectorAll("#record tr[data-alert]").forEach((row) => { row.dataset.before = "yes"; });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
OUTLINE = "(row) => getComputedStyle(row).outlineStyle"


def test_alerts_are_acknowledged_and_silenced_by_keys_and_both_are_undone(open_page: Open, platform: Platform) -> None:
    """Three alerts at night, and no hand for the mouse."""
    platform.watch({"name": "Letters pile up", "metric": "letters_waiting", "threshold": 10, "severity": "warning"})
    for name in ("post-1", "post-2", "post-3"):
        platform.push(name, letters_waiting=20)
    page = open_page("/dashboard/alerts/?q=letters")
    expect(page.locator("#record tr[data-alert]")).to_have_count(3, timeout=15_000)
    expect(page.locator("#record tr[data-alert] >> text=Firing")).to_have_count(3)

    page.keyboard.press("j")
    page.keyboard.press("ArrowDown")
    second = page.locator("#record tr[data-alert]").nth(1)
    expect(second.locator("a.alert-title")).to_be_focused()
    assert second.evaluate(OUTLINE) == "solid"
    page.keyboard.press("x")
    page.keyboard.press("k")
    page.keyboard.press("x")
    expect(page.locator("#said")).to_have_text("2 selected")
    page.keyboard.press("a")
    expect(page.locator("#said")).to_contain_text("2 alerts acknowledged. Press z to undo.")
    expect(page.locator("#record >> text=acknowledged by admin")).to_have_count(2)
    expect(page.locator("#record tr[data-alert] a.alert-title").first).to_be_focused()  # though it was written anew
    page.keyboard.press("z")
    expect(page.locator("#record >> text=acknowledged by admin")).to_have_count(0)

    page.keyboard.press("s")
    expect(page.get_by_role("dialog", name="Silence")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.type("being sorted")
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_contain_text("1 alert silenced")
    page.keyboard.press("z")
    expect(page.locator("#said")).to_have_text("Undone: 1.")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.evaluate(WRITE_ANEW)
    expect(page.locator("#record tr[data-before]")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(page.locator("#record tr[data-alert] a.alert-title").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("Letters pile up")
    expect(page.locator("#picture canvas")).to_be_visible()

    for verb, words in [
        ("Snooze", "snoozed by admin"),
        ("End the snooze", "Unsnoozed"),
        ("Only comment", "“all fine”"),
    ]:
        page.get_by_label("Comment").fill("all fine")
        page.get_by_role("button", name=verb, exact=True).press("Enter")
        expect(page.locator("#story")).to_contain_text(words)
    page.get_by_role("button", name="False alarm").press("Enter")
    expect(page.locator("#story")).to_contain_text("by hand, as a false alarm (admin)")
    expect(page.get_by_role("button", name="Acknowledge")).to_be_hidden()
    expect(page.get_by_label("Comment")).to_be_focused()


def test_from_a_chart_to_a_resolved_alert_by_keyboard_alone(open_page: Open, platform: Platform) -> None:
    """A rule is made from what one sees, rehearsed, fires, is answered and closed, without a mouse or a reload."""
    platform.push("press-1", sheets_waiting=3)
    found = open_page("/dashboard/")
    link = found.locator("a.unit-name, .unit-name a, tr a", has_text="press-1").first
    expect(link).to_be_visible(timeout=15_000)
    link.press("Enter")
    chart = found.locator("section.chart[data-metric=sheets_waiting]")
    chart.get_by_role("link", name="Alert… on sheets waiting").press("Enter")
    form = found
    expect(form.get_by_label("Metric")).to_have_value("sheets_waiting")
    expect(form.locator("#preview")).to_contain_text("press-1")

    form.get_by_label("Name").focus()
    form.keyboard.type("Sheets pile up")
    form.get_by_label("Threshold").focus()
    form.keyboard.type("10")
    expect(form.locator("#preview")).to_contain_text("Would match: 0 of 1")
    form.locator("#rule-form details summary").press("Enter")
    form.get_by_role("button", name="Add to Annotations").press("Enter")
    form.keyboard.type("summary")
    form.keyboard.press("Tab")
    form.keyboard.type("{{ value }} sheets on {{ unit }}")
    form.get_by_role("button", name="Add to Labels of its alerts").press("Enter")
    form.keyboard.type("team")
    form.keyboard.press("Tab")
    form.keyboard.type("print")
    form.get_by_role("button", name="Add to Worse from").press("Enter")
    form.keyboard.press("Tab")
    form.keyboard.type("40")
    form.get_by_role("button", name="Rehearse on 7 days").press("Enter")
    expect(form.locator("#rehearsal-sum")).to_contain_text("It would not have fired", timeout=30_000)
    form.get_by_role("button", name="Save").press("Enter")
    expect(form.locator(".messages")).to_contain_text("Sheets pile up is saved")

    page = open_page("/dashboard/alerts/?q=sheets")
    page.evaluate("window.stays = true")
    expect(page.locator("#connection")).to_have_text("Live")
    platform.push("press-1", sheets_waiting=20)
    alert = page.locator("#record tr[data-alert]", has_text="Sheets pile up")
    expect(alert).to_contain_text("firing", timeout=15_000)
    page.keyboard.press("j")
    page.keyboard.press("a")
    expect(alert).to_contain_text("acknowledged by admin")
    page.keyboard.press("s")
    page.keyboard.press("Tab")
    page.keyboard.type("being printed")
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_contain_text("1 alert silenced")
    page.keyboard.press("r")
    expect(alert).to_contain_text("resolved")
    assert page.evaluate("window.stays")
    page.keyboard.press("Enter")
    expect(page.locator("#story")).to_contain_text("20 sheets on press-1")
    expect(page.locator("#story")).to_contain_text("team=print")
    expect(page.locator("#story")).to_contain_text("by hand (admin)")
