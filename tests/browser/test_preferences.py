"""Whose clocks a page speaks by."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

Open = Callable[..., Page]
PICKED = """async (texts) => {
    const { whenPicked } = await import("/static/dashboard/js/zone.js");
    return texts.map((text) => whenPicked(text).map((at) => new Date(at * 1000).toISOString().slice(11, 16)));
}"""


def test_a_page_speaks_by_the_browsers_clocks_until_one_prefers_others(open_page: Open) -> None:
    """The first page already, whatever this browser was told before; and a chart by the same as the words beside it."""
    page = open_page("/dashboard/me/preferences/", timezone_id="Asia/Tokyo")
    foot = page.locator(".zone-line")
    expect(foot).to_have_text("Times are those of Asia/Tokyo")

    page.get_by_label("Time zone").fill("Europe/Berlin")
    page.get_by_role("button", name="Save").click()
    expect(foot).to_have_text("Times are those of Europe/Berlin")
    picked = page.evaluate(PICKED, ["2026-03-29T02:30", "2026-10-25T02:30", "2026-07-01T10:00", "soon"])
    page.get_by_role("button", name="Undo").click()

    expect(foot).to_have_text("Times are those of Asia/Tokyo")
    assert picked == [[], ["00:30", "01:30"], ["08:00"], []]
