"""Every page that links lead to, once each: no rule of axe-core broken, nothing that jumps or is wider than a phone.

A picture of each is kept, in both themes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import axe_playwright_python
from django.urls import Resolver404, resolve
from playwright.sync_api import Page, TimeoutError, expect

from tests.support.platform_process import ROOT, Platform, until
from vsm_site.dashboard.navigation import GROUPS

Open = Callable[..., Page]
PICTURES = Path(os.environ.get("VSM_ARTEFACTS", ROOT / "test-results")) / "pages"
AXE = (Path(next(iter(axe_playwright_python.__path__))) / "axe.min.js").read_text()
# What the theme can break is looked at in both; the rest once.
VIOLATIONS = """async (rules) => {
    const wanted = { resultTypes: ["violations"], preload: false, ...(rules ? { runOnly: rules } : {}) };
    const { violations } = await axe.run(document, wanted);
    return violations.flatMap(({ id, nodes }) => nodes.map(({ target, html }) => [id, target.join(" "), html]));
}"""
FRAMEWORK = "select2"  # the field that Django's admin brings for a long choice has no name that axe-core would take
SETTLED = """() => Promise.all(document.getAnimations()
    .filter((one) => one.effect.getComputedTiming().endTime !== Infinity)
    .map((one) => one.finished.catch(() => null)))"""  # a colour on its way from one theme to the other is of neither
OF_THEMES = ["color-contrast", "link-in-text-block"]
FITS = "() => document.documentElement.scrollWidth <= document.documentElement.clientWidth"
FITTING_MS = 5_000  # charts are drawn anew when they have got another width
# How far the page jumped until its first numbers were drawn, however long they were in coming: Lighthouse's measure.
WATCH_JUMPS = """window.jumped = 0;
    new PerformanceObserver((list) => {
        for (const shift of list.getEntries()) if (!shift.hadRecentInput) window.jumped += shift.value;
    }).observe({ type: "layout-shift", buffered: true });
    document.addEventListener("readystatechange", () =>
        document.documentElement.style.setProperty("--patience", "60s"));"""
JUMPED = """async () => {
    for (let frames = 0; frames < 3; frames += 1) await new Promise(requestAnimationFrame);
    return window.jumped;
}"""
GOOD_JUMP = 0.1  # https://web.dev/articles/cls
LINKS = """() => [...document.querySelectorAll("main a[href], .sidebar a[href]")]
    .map((link) => new URL(link.getAttribute("href"), location.href).href)"""
ADMIN = ("/admin/", "/admin/alerts/alertrule/", "/admin/alerts/alertrule/add/", "/admin/password_change/")
SOME = {
    "unit",
    "alert",
    "rule",
    "signal",
    "event",
    "journey",
    "task",
    "pattern",
    "policy-kind",
}  # of this young platform


def test_every_page_is_accessible_narrow_enough_and_pictured(open_page: Open, platform: Platform) -> None:
    """Pages are found as people find them: by the links. Console and CSP are watched by `open_page`."""
    something_to_see(platform)
    page = open_page(width=1440, before=lambda page: page.add_init_script(WATCH_JUMPS))
    until(lambda: len(page.evaluate(LINKS)) > len(GROUPS), seconds=30, what="the sidebar")

    seen, broken = {}, []
    for name, path in pages_from(page, "/dashboard/"):
        seen[name] = path
        if (jumped := page.evaluate(JUMPED)) > GOOD_JUMP:
            broken.append((path, f"jumped by {jumped:.2f} when its first numbers came"))
        broken += [(path, *each) for each in looked_at(page, name)]
    for path in ADMIN:
        page.goto(platform.url + path)
        broken += [(path, *each) for each in looked_at(page, path.strip("/").replace("/", "-"))]

    assert broken == []
    assert {entry.name for group in GROUPS for entry in group.entries} | SOME <= set(seen), seen


def something_to_see(platform: Platform) -> None:
    """Let an alert fire and a signal be open."""
    platform.push("pages-1", parcels=50)
    platform.watch({"name": "Parcels", "metric": "parcels", "comparison": "gt", "threshold": 10, "severity": "warning"})
    platform.push("pages-1", parcels=60)
    platform.trigger("diagnostics.echo")
    platform.hurt("pages-1")


def pages_from(page: Page, start: str) -> Iterator[tuple[str, str]]:
    """Open one page of each name that is reached by links, and yield its name and path while it is open."""
    host = page.url.split("/dashboard")[0]
    waiting, known = [start], set()
    while waiting:
        path = waiting.pop(0)
        name = page_name(path)
        if not name or name in known:
            continue
        known.add(name)
        answer = page.goto(host + path)
        assert answer is not None
        assert answer.ok, path
        expect(page.locator("#connection")).to_have_text("Live")
        yield name, path
        waiting += [link.removeprefix(host) for link in page.evaluate(LINKS) if link.startswith(f"{host}/dashboard/")]


def page_name(path: str) -> str:
    """Return the name of the page at *path*; empty for a file to download."""
    try:
        name = resolve(urlsplit(path).path).url_name or ""
    except Resolver404:
        return ""
    return "" if "export" in name else name


def looked_at(page: Page, name: str) -> list[list[str]]:
    """Take the page's picture in both themes, and return what is wrong with it."""
    expect(page.locator("h1").first).to_be_attached()
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.evaluate(AXE)
    found = page.evaluate(VIOLATIONS, None)
    page.screenshot(path=PICTURES / f"{name}-light.png")
    page.emulate_media(color_scheme="dark")
    page.evaluate(SETTLED)
    found += page.evaluate(VIOLATIONS, OF_THEMES)
    page.screenshot(path=PICTURES / f"{name}-dark.png")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 360, "height": 800})
    try:
        page.wait_for_function(FITS, timeout=FITTING_MS)
    except TimeoutError:
        found.append(["wider than a phone", "", ""])
    page.set_viewport_size({"width": 1440, "height": 900})
    return [each for each in found if FRAMEWORK not in each[1]]
