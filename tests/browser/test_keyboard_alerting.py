"""Alerts by keyboard alone."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect

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


def tab_to(page: Page, target: Locator, most: int = 150) -> None:
    """Go on by the Tab key until *target* has the focus."""
    expect(target).to_be_visible(timeout=15_000)
    for _ in range(most):
        if target.evaluate("(node) => node === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{target} is not reached by Tab")


def type_in(page: Page, field: Locator, text: str) -> None:
    """Go to *field* and type over what it holds."""
    tab_to(page, field)
    page.keyboard.press("Control+a")
    page.keyboard.type(text)


def test_from_a_chart_to_a_resolved_alert_by_keyboard_alone(open_page: Open, platform: Platform) -> None:
    """A rule is made from what one sees, rehearsed, fires, is answered and closed: Tab, Enter, one page."""
    platform.push("press-1", sheets_waiting=3)
    found = open_page("/dashboard/")
    tab_to(found, found.locator("a.unit-name, .unit-name a, tr a", has_text="press-1").first)
    found.keyboard.press("Enter")
    page = found
    chart = page.locator("section.chart[data-metric=sheets_waiting]")
    link = chart.get_by_role("link", name="Alert… on sheets waiting")
    tab_to(page, link)
    page.evaluate("window.stays = true")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="New rule")
    expect(dialog.get_by_label("Metric")).to_have_value("sheets_waiting")
    expect(dialog.locator("#preview")).to_contain_text("press-1")
    expect(dialog.get_by_label("Name", exact=True)).to_be_focused()

    page.keyboard.type("Sheets pile up")
    type_in(page, dialog.locator("[name=threshold]"), "10")
    expect(page.locator("#preview")).to_contain_text("Would match: 0 of 1")
    tab_to(page, page.locator("#rule-form details summary"))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("button", name="Add to Worse from"))
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("40")
    tab_to(page, page.get_by_role("button", name="Add to Labels of its alerts"))
    page.keyboard.press("Enter")
    page.keyboard.type("team")
    page.keyboard.press("Tab")
    page.keyboard.type("print")
    tab_to(page, page.get_by_role("button", name="Add to Annotations"))
    page.keyboard.press("Enter")
    page.keyboard.type("summary")
    page.keyboard.press("Tab")
    page.keyboard.type("{{ value }} sheets on {{ unit }}")
    tab_to(page, page.get_by_role("button", name="Rehearse on 7 days"))
    page.keyboard.press("Enter")
    expect(page.locator("#rehearsal-sum")).to_contain_text("It would not have fired", timeout=30_000)
    tab_to(page, dialog.get_by_role("button", name="Save", exact=True))
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_contain_text("Sheets pile up is saved")
    expect(link).to_be_focused()

    platform.push("press-1", sheets_waiting=20)
    alert = page.locator("#unit-alerts article", has_text="Sheets pile up")
    expect(alert).to_contain_text("firing", timeout=15_000)
    tab_to(page, alert.get_by_role("button", name="Acknowledge"))
    page.keyboard.press("Enter")
    expect(alert).to_contain_text("acknowledged by admin")
    tab_to(page, alert.get_by_role("button", name="Silence"))
    page.keyboard.press("Enter")
    type_in(page, page.locator("#quiet [name=comment]"), "being printed")
    page.keyboard.press("Enter")
    expect(alert).to_contain_text("silenced")
    tab_to(page, alert.get_by_role("button", name="Resolve"))
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_contain_text("Sheets pile up: press-1 is resolved.")
    expect(alert).to_have_count(0)
    assert page.evaluate("window.stays")

    story = open_page("/dashboard/alerts/?q=sheets")
    expect(story.locator("#record tr[data-alert]")).to_have_count(1)
    story.keyboard.press("j")
    story.keyboard.press("Enter")
    expect(story.locator("#story")).to_contain_text("20 sheets on press-1")
    expect(story.locator("#story")).to_contain_text("team=print")
    expect(story.locator("#story")).to_contain_text("by hand (admin)")
