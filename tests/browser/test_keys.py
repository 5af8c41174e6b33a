"""Single keys: each does what the list of keys says, and leaves alone what is not meant for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import listening, logged_in
from tests.support.admin_desk import AdminDesk
from tests.support.platform_process import Platform

Open = Callable[..., Page]
SOMEBODYS_PASSWORD = "somebody-has-a-long-password"
ROWS = "#record tr[data-alert], #record tr[data-row]"
JUMPS = """() => [...document.querySelectorAll("#keys .jumps dt")]
  .filter((keys) => keys.children.length === 2 && keys.firstElementChild.textContent === "g")
  .map((keys) => [keys.lastElementChild.textContent, keys.nextElementSibling.textContent])"""
TAKEN = """() => {
  window.taken = [];
  addEventListener("keydown", (event) => event.defaultPrevented && window.taken.push(event.key));
}"""


@pytest.fixture(scope="module")
def parcels(platform: Platform) -> str:
    """The address of a list of three alerts, which nobody has answered."""
    platform.watch({"name": "Crates pile up", "metric": "crates_waiting", "threshold": 10, "severity": "info"})
    for name in ("dock-1", "dock-2", "dock-3"):
        platform.push(name, crates_waiting=20)
    return "/dashboard/alerts/?q=crates"


def standing(page: Page) -> Page:
    """Wait until the list is whole: an alert that fires a moment later comes to stand above the cursor."""
    expect(listening(page).locator(ROWS)).to_have_count(3)
    return page


def title(page: Page, number: int) -> Locator:
    """Return the link that the cursor is on when it is on a row of the list."""
    return page.locator(ROWS).nth(number).locator("a.alert-title, a.row-title")


def told(page: Page) -> list[str]:
    """Open the list of keys by its key, return what it tells, and close it again."""
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    expect(dialog).to_be_visible()
    words = dialog.locator("dl:not(.jumps) dd").all_inner_texts()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    return words


def test_a_g_and_a_letter_lead_to_each_page_that_the_list_names(open_page: Open) -> None:
    """All of them, one after the other; no two by the same letter."""
    page = listening(open_page("/dashboard/me/preferences/"))
    jumps = page.evaluate(JUMPS)
    assert len(jumps) > 15
    assert len(dict(jumps)) == len(jumps)

    for letter, label in jumps:
        page.keyboard.press("g")
        page.keyboard.press(letter)
        expect(page.locator("#sidebar [aria-current=page]")).to_contain_text(label)
        listening(page)


def test_a_letter_that_leads_nowhere_is_forgotten(open_page: Open) -> None:
    """A g that somebody thought better of does not change what the next key means."""
    page = listening(open_page("/dashboard/events/"))
    page.keyboard.press("g")
    page.keyboard.press("-")
    page.keyboard.press("a")
    page.keyboard.press("/")
    expect(page.get_by_role("dialog", name="Search")).to_be_visible()


def test_alerts_are_selected_and_resolved_by_keys(open_page: Open, platform: Platform) -> None:
    """What the list of keys says of them, beyond what can be undone."""
    platform.watch({"name": "Sacks pile up", "metric": "sacks_waiting", "threshold": 10, "severity": "info"})
    for name in ("mill-1", "mill-2"):
        platform.push(name, sacks_waiting=20)
    page = listening(open_page("/dashboard/alerts/?q=sacks"))
    expect(page.locator("#record tr[data-open]")).to_have_count(2)
    assert len(told(page)) == 9
    said = page.locator("#said")
    page.keyboard.press("X")
    expect(said).to_have_text("2 selected")
    page.keyboard.press("X")
    expect(said).to_have_text("")
    page.keyboard.press("k")
    expect(title(page, 1)).to_be_focused()
    page.keyboard.press("k")
    page.keyboard.press("ArrowUp")
    expect(title(page, 0)).to_be_focused()
    page.keyboard.press("r")
    expect(said).to_have_text("1 alert resolved.")
    expect(page.locator("#record tr[data-open]")).to_have_count(1)
    page.keyboard.press("z")
    expect(said).to_have_text("There is nothing to undo.")


def test_what_is_decided_leaves_the_inbox_and_the_cursor_goes_on_from_there(
    open_page: Open, platform: Platform
) -> None:
    """Each verb asks first; and after an answer one is not sent back to the top of the list."""
    for number in (1, 2, 3, 4):
        advice = {"kind": "optimisation", "subject": f"kiln-{number}", "title": f"Sweep the kiln {number}"}
        platform.send("recommendations/", advice)
    page = listening(open_page("/dashboard/inbox/?q=kiln"))
    expect(page.locator(ROWS)).to_have_count(4)
    assert len(told(page)) == 7
    page.keyboard.press("j")
    page.keyboard.press("j")
    for key, question in {
        "a": "Approve and apply?",
        "r": "Refuse?",
        "d": "Defer?",
        "u": "Undo what was applied?",
    }.items():
        page.keyboard.press(key)
        expect(page.get_by_role("dialog", name=question)).to_be_visible()
        page.keyboard.press("Escape")
        expect(title(page, 1)).to_be_focused()

    after = str(title(page, 2).get_attribute("href"))
    page.keyboard.press("r")
    page.keyboard.type("too hot")
    page.keyboard.press("Enter")
    expect(page.locator(ROWS)).to_have_count(3)
    page.keyboard.press("a")
    expect(page.locator("dialog[open]")).to_have_count(0)  # nobody chose what came in its place
    page.keyboard.press("j")
    expect(page.locator(f"a.row-title[href='{after}']")).to_be_focused()
    page.keyboard.press("k")
    expect(title(page, 0)).to_be_focused()


def test_what_is_typed_in_a_field_is_text(open_page: Open, parcels: str) -> None:
    """Nobody resolves an alert by looking for one."""
    page = standing(open_page(parcels))
    field = page.locator("#content [name=q]")
    field.fill("")
    field.press_sequentially("jxarsz?/ga")
    expect(field).to_have_value("jxarsz?/ga")
    expect(page.locator("dialog[open]")).to_have_count(0)
    expect(page.locator("#said")).to_have_text("")
    expect(field).to_be_focused()
    page.keyboard.press("Control+k")
    expect(page.get_by_role("dialog", name="Search")).to_be_visible()


def test_keys_with_a_modifier_are_left_to_the_browser(open_page: Open, parcels: str) -> None:
    """Select all, find, save, back: they are somebody's habit already."""
    page = standing(open_page(parcels))
    page.keyboard.press("j")
    expect(title(page, 0)).to_be_focused()
    page.evaluate(TAKEN)
    for keys in ("Control+a", "Control+x", "Alt+r", "Meta+s", "Alt+j", "Control+z", "Alt+/", "Control+ArrowDown"):
        page.keyboard.press(keys)
    assert page.evaluate("window.taken") == []
    expect(title(page, 0)).to_be_focused()
    expect(page.locator("#said")).to_have_text("")
    expect(page.locator("dialog[open]")).to_have_count(0)


def test_single_keys_are_switched_off_for_good_by_who_does_not_want_them(
    open_page: Open, browser: Browser, platform: Platform, parcels: str
) -> None:
    """Speech input types letters (WCAG 2.1.4). Arrows and Ctrl+K still work; it is kept with the account."""
    desk = AdminDesk(platform)
    desk.add_person("somebody", SOMEBODYS_PASSWORD, operates="main")
    desk.close()
    session = logged_in(browser, platform, "somebody", SOMEBODYS_PASSWORD)
    page = standing(open_page(parcels, storage_state=session))
    switch_by_mouse(page, on=False)
    page.reload()
    listening(page)
    for key in ("j", "X", "/", "?", "g", "a"):
        page.keyboard.press(key)
    expect(page.locator("dialog[open]")).to_have_count(0)
    expect(page.locator("#said")).to_have_text("")
    title(page, 0).focus()
    page.keyboard.press("ArrowDown")
    expect(title(page, 1)).to_be_focused()
    page.keyboard.press("Control+k")
    expect(page.get_by_role("dialog", name="Search")).to_be_visible()
    page.keyboard.press("Escape")

    switch_by_mouse(page, on=True)
    page.keyboard.press("k")
    expect(title(page, 0)).to_be_focused()


def switch_by_mouse(page: Page, *, on: bool) -> None:
    """Single keys are switched in the dialog that tells them."""
    page.get_by_role("button", name="Keys").click()
    with page.expect_response("**/preferences/keep/"):
        page.get_by_label("Single keys work").set_checked(on)
    page.get_by_role("dialog", name="Keys").get_by_role("button", name="Close").click()


def test_a_reason_that_is_being_written_survives_what_happens_meanwhile(open_page: Open, platform: Platform) -> None:
    """Somebody else defers it; the page says so, and goes on from the same letter."""
    advice = {"kind": "optimisation", "subject": "oven-1", "title": "Sweep the oven"}
    number = platform.send("recommendations/", advice)["id"]
    page = listening(open_page(f"/dashboard/inbox/{number}/"))
    page.get_by_text("Refuse…").click()
    reason = page.get_by_label("Why not")
    reason.click()
    page.keyboard.type("It is still ")

    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    platform.send(f"recommendations/{number}/defer/", {"until": tomorrow, "reason": "later"})
    expect(page.locator("#story")).to_contain_text("Deferred until")

    expect(reason).to_be_focused()
    page.keyboard.type("hot")
    expect(reason).to_have_value("It is still hot")
