"""The diagram of the model as a person meets it: at three units and at three hundred, by pointer, key and ear."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Locator, Page, WebSocketRoute, expect

Open = Callable[..., Page]
FLEET = {
    "id": 1, "name": "shop", "own": False, "broker": "amqp://broker/shop", "enabled": True, "connected_at": None,
    "last_error": "",
}  # fmt: skip
FACTS = {
    "system": {"slug": "main", "name": "Main"},
    "inside": [{"slug": "till", "name": "Till", "score": 0.6, "status": "warning"}],
    "waiting": {"s1": 0, "s2": 0, "s3": 3, "s3_star": 1, "s4": 0, "s5": 0},
    "flows": [{"channel": "coordination", "from": "s2", "to": "s1", "count": 900}],
    "window_seconds": 300,
    "varieties": {
        "environment": 3.0, "operation": 1.0, "management": None, "s3": None, "s4": None,
        "operational_band": "critical", "managerial_band": None, "units": {},
        "s3_s4": {"balance": None, "reason": "Not measured.", "residual": None},
    },
    "readers": [{"fleet": "shop", "role": "web-*", "queues": ["orders"]}],
}  # fmt: skip
OUTSIDE = """() => { const svg = document.querySelector(".model-figure svg").getBoundingClientRect();
    return [...document.querySelectorAll(".model-figure text")]
        .filter((one) => one.textContent && one.checkVisibility())
        .map((one) => [one.textContent, one.getBoundingClientRect()])
        .filter(([, box]) => box.left < svg.left - 1 || box.right > svg.right + 1 || box.bottom > svg.bottom + 1)
        .map(([text]) => text); }"""
MOVING = "() => getComputedStyle(document.querySelector('.flow.moving')).animationName"


def unit(number: int, name: str, score: float | None = 1.0, *, kind: str = "celery_worker") -> dict[str, Any]:
    """Return a unit as the live connection tells it."""
    now = time.time()
    health = "unknown" if score is None else "healthy" if score > 0.8 else "degraded" if score > 0.5 else "unhealthy"
    latest = {"ready": [now, 7.0]} if kind == "celery_queue" else {"task_rate": [now, 2.0]}
    return {
        "id": number, "name": f"shop/{name}", "kind": kind, "state": "active", "health": health, "score": score,
        "parts": {}, "fleet": "shop", "last_seen_at": None, "last_error": "", "latest": latest,
    }  # fmt: skip


def snapshot(units: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what a page hears first."""
    vital = {"score": 0.94, "status": "healthy", "reason": "", "measures": {}}
    return {
        "now": time.time(), "system": {"id": 1, "slug": "main", "name": "Main"}, "units": units, "alerts": [],
        "signals": [], "fleets": [FLEET], "tick": {"at": time.time(), "answered_count": 1, "unit_count": 1},
        "viability": {
            "score": 0.9, "status": "normal", "assessed_at": None, "parts": [], "counterfactual": [],
            "subsystems": {f"s{number}": vital for number in range(1, 6)},
        },
    }  # fmt: skip


def open_model(open_page: Open, units: list[dict[str, Any]]) -> Page:
    """Return the page of the model, which hears of *units* and of the facts above instead of the platform's."""
    routes: list[WebSocketRoute] = []

    def hear(route: WebSocketRoute) -> None:
        routes.append(route)
        route.send(json.dumps({"type": "snapshot", "seq": 1, "body": snapshot(units)}))

    def before(page: Page) -> None:
        page.route_web_socket(re.compile("/ws/dashboard/"), hear)
        page.route("**/dashboard/model/facts/**", lambda route: route.fulfill(json=FACTS))

    page = open_page("/dashboard/model/", before=before)
    expect(operations(page).first).to_be_visible()
    changes = [{"kind": "assessment", "key": "main", "body": snapshot(units)["viability"]}]  # after which it asks anew
    routes[0].send(json.dumps({"type": "changes", "seq": 2, "changes": changes}))
    return page


def operations(page: Page) -> Locator:
    return page.locator(".model-figure a.operation")


def test_a_few_units_are_drawn_one_by_one_with_names_tips_and_a_table(open_page: Open) -> None:
    """Who cannot see the picture, or moves by keys, is told the same."""
    three = [unit(1, "web-1"), unit(2, "web-2", 0.6), unit(3, "mail", None), unit(4, "orders", kind="celery_queue")]
    page = open_model(open_page, three)

    expect(operations(page)).to_have_count(4)  # three workers and the system inside; the queue is what is asked of them
    worker = page.get_by_role("link", name="web-1, healthy 1.00; 2 tasks a second; reads orders, where 7 wait")
    expect(worker).to_have_attribute("href", re.compile("/dashboard/units/1/"))
    expect(page.get_by_role("link", name="S3 Control, healthy, 0.94; 3 recommendations wait")).to_be_visible()
    expect(page.get_by_role("link", name=re.compile("web-2, degraded 0.60"))).to_be_visible()
    expect(page.get_by_role("link", name=re.compile("mail, unknown;"))).to_be_visible()
    inside = page.get_by_role("link", name="Till, a system of its own, degraded 0.60")
    expect(inside).to_have_attribute("href", "/dashboard/model/?system=till")
    worker.focus()
    expect(page.locator(".model-tip")).to_contain_text("reads orders, where 7 wait")
    page.get_by_text("The same in words").click()
    expect(page.locator(".model-table")).to_contain_text("900 messages in 5 minutes")
    assert page.evaluate(OUTSIDE) == []
    assert page.evaluate(MOVING) == "model-flow"
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(MOVING) == "none"


def test_a_silent_worker_has_the_health_that_the_server_says_and_no_rate_of_then(open_page: Open) -> None:
    """Its circle, the fold it is in and its line in a table say the same."""
    silent = {**unit(1, "mail", 0.0), "state": "silent"}
    silent_ones = [{**unit(number, f"web-{number}", 0.0), "state": "silent"} for number in range(2, 12)]
    page = open_model(open_page, [silent, *silent_ones, *(unit(number, f"pay-{number}") for number in range(12, 15))])

    expect(page.get_by_role("link", name="mail, unhealthy 0.00; silent", exact=True)).to_be_visible()
    web = page.get_by_role("link", name="web-*, 10 workers, unhealthy 0.00; 10 unhealthy; 10 silent", exact=True)
    expect(web).to_be_visible()
    expect(page.get_by_role("link", name=re.compile("^pay-.*; 6 tasks a second"))).to_be_visible()


def test_three_hundred_units_fold_by_role_unfold_and_fold_again(open_page: Open) -> None:
    """What is too much to read is counted, and what is wrong in it is still seen."""
    many = [unit(number, f"web-{number}@host", 0.2 if number < 3 else 1.0) for number in range(1, 201)]
    many += [unit(number, f"mail-{number}") for number in range(201, 301)]
    page = open_model(open_page, many)

    web = page.get_by_role(
        "link", name=re.compile(r"web-\*@host, 200 workers, unhealthy 0\.99; 2 unhealthy, 198 health")
    )
    expect(web).to_be_visible()
    expect(operations(page)).to_have_count(3)  # two roles, and the system inside
    expect(web.locator(".ring")).to_have_count(2)
    web.press("Enter")

    dots = page.locator(".model-figure a.dot")
    expect(dots).to_have_count(200)
    expect(page.locator(".model-fold")).to_contain_text("Main › web-*@host, 200")
    expect(dots.first).to_have_attribute("aria-label", re.compile("^web-1@host, unhealthy 0.20"))
    dots.first.focus()
    page.keyboard.press("ArrowRight")
    expect(dots.nth(1)).to_be_focused()
    expect(page.locator(".model-figure a.dot[tabindex='0']")).to_have_count(1)
    assert page.evaluate(OUTSIDE) == []
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.locator(".model-figure svg.narrow")).to_be_visible()
    assert page.evaluate(OUTSIDE) == []
    page.reload()  # the fold is in the address

    expect(page.locator(".model-figure a.dot")).to_have_count(200)
    page.keyboard.press("Escape")
    expect(operations(page)).to_have_count(2)  # a page that is loaded anew asks the platform, which has no such system
    assert "fold" not in page.url
