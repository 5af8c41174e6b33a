"""Alerts by keyboard alone."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import listening
from tests.support.platform_process import Platform

Open = Callable[..., Page]
ROWS = "#record tr[data-alert]"
CURSOR = "() => document.activeElement.getAttribute('href')"


def test_alerts_are_acknowledged_and_silenced_by_keys_and_both_are_undone(open_page: Open, platform: Platform) -> None:
    """Three alerts at night, and no hand for the mouse."""
    page = listening(open_page("/dashboard/alerts/?q=letters"))
    let_letters_pile_up(page, platform)

    select_the_first_two(page)
    acknowledge_and_take_back(page)
    silence_and_take_back(page)
    meet_the_cursor_again_after_a_dialog(page, platform)
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("Letters pile up")
    expect(page.locator("#picture canvas")).to_be_visible()

    say_all_that_can_be_said(page)
    call_it_a_false_alarm(page)


def let_letters_pile_up(page: Page, platform: Platform) -> None:
    platform.watch({"name": "Letters pile up", "metric": "letters_waiting", "threshold": 10, "severity": "warning"})
    for name in ("post-1", "post-2", "post-3"):
        platform.push(name, letters_waiting=20)
    expect(page.locator(f"{ROWS} >> text=Firing")).to_have_count(3)


def select_the_first_two(page: Page) -> None:
    """Down to the second, up to the first, each with an x."""
    page.keyboard.press("j")
    page.keyboard.press("ArrowDown")
    second = page.locator(ROWS).nth(1)
    expect(second.locator("a.alert-title")).to_be_focused()
    expect(second).to_have_css("outline-style", "solid")
    page.keyboard.press("x")
    page.keyboard.press("k")
    page.keyboard.press("x")
    expect(page.locator("#said")).to_have_text("2 selected")


def acknowledge_and_take_back(page: Page) -> None:
    page.keyboard.press("a")
    expect(page.locator("#said")).to_contain_text("2 alerts acknowledged. Press z to undo.")
    expect(page.locator("#record >> text=acknowledged by admin")).to_have_count(2)
    expect(page.locator(f"{ROWS} a.alert-title").first).to_be_focused()  # though it was written anew
    page.keyboard.press("z")
    expect(page.locator("#record >> text=acknowledged by admin")).to_have_count(0)


def silence_and_take_back(page: Page) -> None:
    page.keyboard.press("s")
    expect(page.get_by_role("dialog", name="Silence")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.type("being sorted")
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_contain_text("1 alert silenced")
    page.keyboard.press("z")
    expect(page.locator("#said")).to_have_text("Undone: 1.")


def meet_the_cursor_again_after_a_dialog(page: Page, platform: Platform) -> None:
    """The list is written anew while the keys are told: one more alert."""
    before = page.evaluate(CURSOR)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    platform.push("post-4", letters_waiting=20)
    expect(page.locator(ROWS)).to_have_count(4)
    page.keyboard.press("Escape")
    expect(page.locator(f"{ROWS} a.alert-title[href='{before}']")).to_be_focused()


def say_all_that_can_be_said(page: Page) -> None:
    """Each verb of an alert's own page that leaves it open, with a comment."""
    for verb, words in [
        ("Snooze", "snoozed by admin"),
        ("End the snooze", "Unsnoozed"),
        ("Only comment", "“all fine”"),
    ]:
        page.get_by_label("Comment").fill("all fine")
        page.get_by_role("button", name=verb, exact=True).press("Enter")
        expect(page.locator("#story")).to_contain_text(words)


def call_it_a_false_alarm(page: Page) -> None:
    page.get_by_role("button", name="False alarm").press("Enter")
    expect(page.locator("#story")).to_contain_text("by hand, as a false alarm (admin)")
    expect(page.get_by_role("button", name="Acknowledge")).to_be_hidden()
    expect(page.get_by_label("Comment")).to_be_focused()


def tab_to(page: Page, target: Locator, most: int = 150) -> None:
    """Go on by the Tab key until *target* has the focus."""
    expect(target).to_be_visible()
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


def press(page: Page, target: Locator) -> None:
    """Go to *target* and press Enter there."""
    tab_to(page, target)
    page.keyboard.press("Enter")


def add_row(page: Page, to: str, *texts: str) -> None:
    """Add one of the small rows of a form; the cursor is in its first field, Tab leads to the next."""
    press(page, page.get_by_role("button", name=f"Add to {to}"))
    for number, text in enumerate(texts):
        if number:
            page.keyboard.press("Tab")
        page.keyboard.type(text)


def test_from_a_chart_to_a_resolved_alert_by_keyboard_alone(open_page: Open, platform: Platform) -> None:
    """A rule is made from what one sees, rehearsed, fires, is answered and closed: Tab, Enter, one page."""
    platform.push("press-1", sheets_waiting=3)
    page = open_page("/dashboard/?view=performance")
    press(page, page.locator("a.unit-name, .unit-name a, tr a", has_text="press-1").first)
    link = page.locator("section.chart[data-metric=sheets_waiting]").get_by_role(
        "link", name="Alert… on sheets waiting"
    )
    tab_to(page, link)
    page.evaluate("window.stays = true")
    page.keyboard.press("Enter")

    write_the_rule(page, page.get_by_role("dialog", name="New rule"))
    expect(link).to_be_focused()
    platform.push("press-1", sheets_waiting=20)
    answer_the_alert(page, page.locator("#unit-alerts article", has_text="Sheets pile up"))
    assert page.evaluate("window.stays")
    read_its_story(listening(open_page("/dashboard/alerts/?q=sheets")))


def write_the_rule(page: Page, dialog: Locator) -> None:
    """Fill in the form, rehearse it and save it."""
    expect(dialog.get_by_label("Metric")).to_have_value("sheets_waiting")
    expect(dialog.locator("#preview")).to_contain_text("press-1")
    expect(dialog.get_by_label("Name", exact=True)).to_be_focused()
    page.keyboard.type("Sheets pile up")
    type_in(page, dialog.locator("[name=threshold]"), "10")
    expect(page.locator("#preview")).to_contain_text("Would match: 0 of 1")
    press(page, page.locator("#rule-form details summary"))
    press(page, page.get_by_role("button", name="Add to Worse from"))
    page.keyboard.press("Tab")
    page.keyboard.type("40")
    add_row(page, "Labels of its alerts", "team", "print")
    add_row(page, "Annotations", "summary", "{{ value }} sheets on {{ unit }}")
    press(page, page.get_by_role("button", name="Rehearse on 7 days"))
    expect(page.locator("#rehearsal-sum")).to_contain_text("It would not have fired", timeout=120_000)
    press(page, dialog.get_by_role("button", name="Save", exact=True))
    expect(page.locator("#said")).to_contain_text("Sheets pile up is saved")


def answer_the_alert(page: Page, alert: Locator) -> None:
    """Acknowledge, silence and resolve it where it stands."""
    expect(alert).to_contain_text("firing")
    press(page, alert.get_by_role("button", name="Acknowledge"))
    expect(alert).to_contain_text("acknowledged by admin")
    press(page, alert.get_by_role("button", name="Silence"))
    type_in(page, page.locator("#quiet [name=comment]"), "being printed")
    page.keyboard.press("Enter")
    expect(alert).to_contain_text("silenced")
    press(page, alert.get_by_role("button", name="Resolve"))
    expect(page.locator("#said")).to_contain_text("Sheets pile up: press-1 is resolved.")
    expect(alert).to_have_count(0)


def read_its_story(page: Page) -> None:
    expect(page.locator(ROWS)).to_have_count(1)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    for words in ("20 sheets on press-1", "team=print", "by hand (admin)"):
        expect(page.locator("#story")).to_contain_text(words)
