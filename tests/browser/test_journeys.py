"""What people come for, from the first click to the last, on a wide screen, a tablet and a phone."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Locator, Page, StorageState, expect

from tests.browser.conftest import listening, logged_in
from tests.support.admin_desk import AdminDesk
from tests.support.own_redis import OwnRedis
from tests.support.platform_process import ROOT, Platform, until
from tests.support.watched_app import producer, watched_worker

pytestmark = pytest.mark.skipif(shutil.which("redis-server") is None, reason="needs redis-server, for a fleet to watch")
Open = Callable[..., Page]
PICTURES = Path(os.environ.get("VSM_ARTEFACTS", ROOT / "test-results")) / "journeys"
FORMS: Mapping[str, Mapping[str, Any]] = {
    "wide": {"viewport": {"width": 1440, "height": 900}},
    "tablet": {"viewport": {"width": 820, "height": 1180}, "has_touch": True, "is_mobile": True},
    "phone": {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True},
}
TOO_WIDE = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
CURSOR = "document.activeElement.getAttribute('href')"
WORKER = "till@watched"
QUEUES = [f"orders-{form}" for form in FORMS]
NEWCOMERS_PASSWORD = "newcomers-have-long-passwords"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Platform]:
    """A platform of its own: the fleets and systems of these journeys are in nobody else's pictures."""
    running = Platform(tmp_path_factory.mktemp("home"), migrated)
    yield running
    assert running.stop() == 0, running.log.read_text()[-2000:]


@pytest.fixture(scope="module")
def session(browser: Browser, platform: Platform) -> StorageState:
    return logged_in(browser, platform)


@pytest.fixture(scope="module")
def desk(platform: Platform) -> Iterator[AdminDesk]:
    desk = AdminDesk(platform)
    yield desk
    desk.close()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the workers of another team meet, and one of them at work."""
    server = OwnRedis(tmp_path_factory.mktemp("redis"))
    with watched_worker(server.url, ",".join(QUEUES), name=WORKER.split("@")[0]):
        yield server.url
    server.stop()


@pytest.fixture(scope="module")
def fleet(platform: Platform, broker: str) -> str:
    """The fleet's name, when its worker is seen and heard."""
    name = f"shop-{uuid4().hex[:4]}"
    number = platform.send("fleets/", {"url": broker, "name": name})["id"]
    seen = lambda: platform.ask(f"workers/?search={WORKER}")["results"]  # noqa: E731
    until(lambda: any(row["fleet"] == name for row in seen()), seconds=60, what="the worker is seen")
    heard = lambda: platform.ask(f"fleets/{number}/hearing/").get("last_event_at")  # noqa: E731
    until(lambda: bool(heard()), seconds=60, what="its events are heard: Redis keeps none for who listens later")
    return name


@dataclass
class Person:
    """Somebody at a screen of one form: a finger where it can be touched, else a pointer."""

    page: Page
    form: str

    def press(self, what: Locator) -> None:
        if FORMS[self.form].get("has_touch"):
            what.tap()
        else:
            what.click()

    def go_to(self, name: str) -> None:
        """Choose a page at the side, which a narrow screen hides behind a button."""
        menu = self.page.get_by_role("button", name="Pages", exact=True)
        if menu.is_visible():
            self.press(menu)
        pages = self.page.get_by_role("navigation", name="Pages", exact=True)
        self.press(pages.get_by_role("link", name=re.compile(rf"^{name}(\s*\d+)?$")))
        expect(self.page.locator("#sidebar [aria-current=page]")).to_contain_text(name)
        listening(self.page)

    def end(self, journey: str) -> None:
        """Look at what the journey ended with."""
        listening(self.page)
        assert self.page.evaluate(TOO_WIDE) <= 0
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.page.evaluate("scrollTo(0, 0)")
        self.page.screenshot(path=PICTURES / f"{journey}-{self.form}.png", full_page=True)


@pytest.fixture(params=FORMS)
def person(request: pytest.FixtureRequest, open_page: Open) -> Person:
    """Somebody who has come to the overview."""
    return Person(listening(open_page(**FORMS[request.param])), request.param)


@pytest.fixture(params=FORMS)
def newcomer(request: pytest.FixtureRequest, open_page: Open, desk: AdminDesk) -> Person:
    """Somebody who was given an account and a system that holds nothing yet, before the log-in."""
    name = f"{request.param}-{uuid4().hex[:4]}"
    desk.add_system(name, f"Bakery {request.param}")
    desk.add_person(name, NEWCOMERS_PASSWORD, operates=name)
    page = open_page(storage_state=None, **FORMS[request.param])
    page.get_by_label("Username").fill(name)
    return Person(page, request.param)


def test_the_first_run_ends_with_a_fleet_connected_and_a_rule_made(newcomer: Person, broker: str) -> None:
    """Nobody explained anything: the guide does."""
    page = newcomer.page
    page.get_by_label("Password").fill(NEWCOMERS_PASSWORD)
    newcomer.press(page.get_by_role("button", name="Log in"))
    guide = page.get_by_role("region", name="Three steps to a watched fleet")
    guide.get_by_label("Broker URL").fill("http://nothing.example")
    newcomer.press(guide.get_by_role("button", name="Connect"))
    expect(page.locator(".messages")).to_contain_text("must start with amqp://")
    guide.get_by_label("Broker URL").fill(broker)
    newcomer.press(guide.get_by_role("button", name="Connect"))

    expect(guide).to_contain_text("1 worker heard")  # without a further step
    guide.get_by_label("Alert when a message waits longer than").fill("10")
    newcomer.press(guide.get_by_role("button", name="Make the rule"))
    done = page.get_by_role("region", name="You are set up")
    expect(done).to_contain_text("Queue grows old is watched")
    newcomer.end("first-run")
    newcomer.press(done.get_by_role("button", name="Close the guide"))
    expect(done).to_be_hidden()
    expect(page.locator("#fleets")).to_contain_text("127.0.0.1")
    expect(page.get_by_role("link", name=re.compile(f"^{WORKER}, "))).to_be_visible()  # in the diagram
    newcomer.go_to("Rules")
    expect(page.get_by_role("link", name="Queue grows old")).to_be_visible()


def test_a_failing_task_is_found_with_its_exception_and_arguments(person: Person, fleet: str, broker: str) -> None:
    """Something fails in the shop: which, with what, and why."""
    order = f"{person.form}-{uuid4().hex[:4]}"
    client = producer(broker, QUEUES[0])
    client.send_task("watched.succeed", kwargs={"order": order})
    client.send_task("watched.sleep", [order])
    page = person.page
    person.go_to("Tasks")
    page.get_by_role("combobox", name="State", exact=True).select_option(label="Failed")
    person.press(page.get_by_role("button", name="Search"))
    row = page.get_by_role("row").filter(has_text=order)
    expect(row).to_contain_text("TypeError")  # the list follows what happens
    expect(page.get_by_role("row").filter(has_text="watched.succeed")).to_have_count(0)

    person.press(row.get_by_role("link", name="watched.sleep"))
    expect(page.get_by_role("heading", level=1)).to_have_text("watched.sleep")
    state = page.get_by_role("region", name="State")
    expect(state).to_contain_text("Failed")
    expect(state).to_contain_text(WORKER)
    given = page.get_by_role("region", name="Given and returned")
    expect(given).to_contain_text(order)
    expect(given).to_contain_text("time.sleep(seconds)")
    person.end("failing-task")
    person.press(given.get_by_role("link", name="All failures of this kind"))
    expect(page.get_by_role("row").filter(has_text=order)).to_be_visible()


def test_a_rule_is_made_and_rehearsed(person: Person, platform: Platform) -> None:
    """Before it wakes anybody: what it would say now, and how often it would have fired."""
    mark = uuid4().hex[:4]
    metric, name = f"carts_{mark}", f"Carts pile up {mark}"
    for minutes, carts in [(30, 2), (20, 60), (19, 60), (10, 2), (0, 3)]:
        platform.push(f"cart-{person.form}", ago=60 * minutes, **{metric: carts})
    page = person.page
    person.go_to("Rules")
    person.press(page.get_by_role("link", name="New rule"))
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Metric").fill(metric)
    page.get_by_label("Threshold").fill("50")
    expect(page.locator("#preview")).to_contain_text("Would match: 0 of 1")
    person.press(page.get_by_role("button", name="Rehearse on 7 days"))
    expect(page.locator("#rehearsal-sum")).to_contain_text("once", timeout=60_000)
    person.end("rule")

    person.press(page.get_by_role("button", name="Save"))
    expect(page.locator(".messages")).to_contain_text(f"{name} is saved")
    expect(page.get_by_role("link", name=name)).to_be_visible()


def cursor_to(page: Page, link: Locator) -> None:
    """Go down the list by keys until the cursor is on *link*, which may be written anew meanwhile."""
    wanted = link.get_attribute("href")
    while (before := page.evaluate(CURSOR)) != wanted:
        page.keyboard.press("j")
        expect(page.locator(f"#record a:focus:not([href='{before}'])")).to_have_count(1)


def test_an_alert_is_acknowledged_by_keyboard(person: Person, platform: Platform) -> None:
    """No hand for anything else: from the overview to the alert and back, by keys."""
    mark = uuid4().hex[:4]
    metric, name = f"parcels_{mark}", f"Parcels wait {mark}"
    platform.watch({"name": name, "metric": metric, "threshold": 10, "severity": "warning"})
    platform.push(f"post-{person.form}", **{metric: 20})
    page = person.page
    expect(page.locator("#alerts")).to_contain_text(name)
    page.keyboard.press("g")
    page.keyboard.press("a")
    page.wait_for_url(re.compile("/dashboard/alerts/"))
    listening(page)
    row = page.locator("#record").get_by_role("row").filter(has_text=name)
    expect(row).to_contain_text("firing")
    cursor_to(page, row.get_by_role("link", name=name))
    page.keyboard.press("a")
    expect(row).to_contain_text("acknowledged by admin")
    person.end("acknowledged")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)
    expect(page.locator("#story")).to_contain_text("admin")


@pytest.fixture(scope="module")
def tree(desk: AdminDesk) -> str:
    """A town, in it a mill, in that a bakehouse; the slug of the town."""
    mark = uuid4().hex[:4]
    desk.add_system(f"town-{mark}", "Town", below="")
    desk.add_system(f"mill-{mark}", "Mill", below=f"town-{mark}")
    desk.add_system(f"bakehouse-{mark}", "Bakehouse", below=f"mill-{mark}")
    return f"town-{mark}"


def test_the_tree_is_descended_and_climbed(tree: str, person: Person) -> None:
    """A system within a system within a system: down by the diagram, up by the line above it, and by keys."""
    page = person.page
    page.reload()  # it was there before the systems
    page.get_by_label("System", exact=True).select_option(tree)
    person.press(page.get_by_role("button", name="Go"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Town")
    person.go_to("Model")
    person.press(page.get_by_role("link", name=re.compile("^Mill, a system of its own")))
    above = page.get_by_role("navigation", name="Systems above")
    expect(above).to_have_text("Town › Mill")
    person.press(page.get_by_role("link", name=re.compile("^Bakehouse, a system of its own")))
    expect(above).to_have_text("Town › Mill › Bakehouse")
    expect(page.get_by_role("figure", name="Bakehouse as a viable system")).to_be_visible()
    person.press(above.get_by_role("link", name="Mill"))
    expect(above).to_have_text("Town › Mill")
    expect(page.get_by_role("link", name=re.compile("^Bakehouse, a system of its own"))).to_be_visible()
    person.end("tree")

    page.get_by_role("link", name=re.compile("^Bakehouse, a system of its own")).press("Enter")
    expect(above).to_have_text("Town › Mill › Bakehouse")
    above.get_by_role("link", name="Town").press("Enter")
    expect(page.get_by_role("figure", name="Town as a viable system")).to_be_visible()


@pytest.fixture(scope="module")
def forgotten_pauses(platform: Platform, fleet: str, broker: str) -> None:
    """Somebody paused the queues of the shop, messages come in, and a rule says so: S3 knows what helps."""
    known = lambda: {row["name"] for row in platform.ask(f"queues/?fleet={fleet}")["results"]}  # noqa: E731
    until(lambda: set(QUEUES) <= known(), seconds=60, what="the queues are seen")
    for queue in QUEUES:
        act = platform.send("actions/", {"kind": "queue.pause", "fleet": fleet, "target": queue})
        of_it = f"actions/{act['id']}/"
        until(
            lambda of_it=of_it: platform.ask(of_it)["state"] in {"applied", "verified"},
            seconds=60, what="a paused queue",
        )  # fmt: skip
    rule = {"metric": "ready", "unit_kind": "celery_queue", "threshold": 5, "severity": "critical"}  # S3 hears of those
    platform.watch({"name": f"Orders of {fleet} wait", **rule})
    for queue in QUEUES * 8:
        producer(broker, queue).send_task("watched.succeed")


@pytest.mark.usefixtures("forgotten_pauses")
def test_an_action_is_approved_and_its_effect_seen(person: Person, fleet: str) -> None:
    """From what is recommended, through a decision, to what was done and what came of it."""
    page, queue = person.page, f"orders-{person.form}"
    person.go_to("Inbox")
    row = page.locator("#record").get_by_role("row").filter(has_text=fleet).filter(has_text=f"Resume {queue}")
    expect(row).to_be_visible()
    person.press(row.get_by_role("cell").nth(1))  # anywhere but on a link
    person.press(page.get_by_role("button", name="Approve", exact=True))
    asked = page.get_by_role("dialog", name="Approve and apply?")
    expect(asked).to_contain_text(f"Resume {queue}")
    asked.get_by_label("Why").fill("the repair is over")
    person.press(asked.get_by_role("button", name="Do it"))
    expect(asked).to_be_hidden()
    expect(row).to_have_count(0)  # it waits no more
    page.get_by_role("combobox", name="State", exact=True).select_option(label="Every state")
    person.press(page.get_by_role("button", name="Filter"))
    person.press(row.get_by_role("link", name=f"Resume {queue}"))
    loop = page.get_by_role("region", name="The loop")
    expect(loop).to_contain_text(f"/{queue}: ")  # what was felt
    expect(loop).to_contain_text("Approved by admin: the repair is over")
    expect(loop).to_contain_text(f"queue.resume on {queue}: verified")  # it follows what is done
    person.end("approved")
    person.press(loop.get_by_role("link", name=re.compile("queue.resume")))
    expect(page.locator("#state")).to_have_text("Verified")
    person.go_to("Queues")
    relieved = page.get_by_role("row").filter(has_text=queue).filter(has_text=fleet)
    expect(relieved.locator("[data-label=Ready]")).to_have_text("0")
