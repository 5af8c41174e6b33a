"""What an open dashboard hears over its socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from channels.security.websocket import OriginValidator
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore
from django.test import Client

from subsystems.messaging import live
from subsystems.recursion.models import Membership, System
from subsystems.recursion.queries import root_system
from tests.support.factories import make_system, make_unit, make_user
from vsm_site import asgi
from vsm_site.dashboard import consumers, live_hub
from vsm_site.dashboard.consumers import DashboardConsumer
from vsm_site.dashboard.origins import SameOrigin

pytestmark = pytest.mark.django_db(transaction=True)
WAIT_SECONDS = 30
SNAPSHOT = '{"type": "snapshot"}'


class Browser(ApplicationCommunicator):
    """The other end of the socket. (The communicator that Channels brings needs daphne.)"""

    async def say(self, text: str) -> None:
        await self.send_input({"type": "websocket.receive", "text": text})

    async def hear(self) -> dict[str, Any]:
        """Return the next event of the socket."""
        return dict(await self.receive_output(WAIT_SECONDS))

    async def message(self) -> dict[str, Any]:
        """Return the next message."""
        return dict(json.loads((await self.hear())["text"]))


@asynccontextmanager
async def socket(
    user: Any, slug: str = "", session: Any = None, consumer: type[DashboardConsumer] = DashboardConsumer
) -> AsyncIterator[Browser]:
    """A browser's socket, as the site's routing would open it."""
    scope = {
        "type": "websocket",
        "path": "/ws/dashboard/",
        "query_string": f"system={slug}".encode(),
        "user": user,
        "session": session,
    }
    browser = Browser(consumer.as_asgi(), scope)
    await browser.send_input({"type": "websocket.connect"})
    assert (await browser.hear())["type"] == "websocket.accept"
    try:
        yield browser
    finally:
        await browser.send_input({"type": "websocket.disconnect", "code": 1000})
        await browser.wait()
        await asyncio.wait_for(empty(), WAIT_SECONDS)


async def empty() -> None:
    """Wait until the room that the last browser has left is closed."""
    while tasks := live_hub.hub()._tasks if not live_hub.hub()._visitors else set():
        await asyncio.wait(tasks, timeout=0.05)


async def change(system: System, number: int, *changes: tuple[str, str, Any]) -> None:
    """Tell of changes (kind, key, body) under one number, as a process that makes them does."""
    packed = [live.pack(*each) for each in changes or [("tick", "tick", {})]]
    message = {"type": "live.change", "system": system.pk, "seq": number, "changes": packed}
    await get_channel_layer().group_send(live.group(system.pk), message)


@pytest.fixture(autouse=True)
def nobody_lingers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A room that waits for browsers to come back would outlive the loop of its test."""
    monkeypatch.setattr(live_hub, "LINGER_SECONDS", 0)


async def test_a_snapshot_comes_first_and_then_numbered_changes() -> None:
    """The numbers let a browser see that it missed one."""
    user = await database_sync_to_async(make_user)(role="viewer")
    unit = await database_sync_to_async(make_unit)("billing-1")
    system = await database_sync_to_async(root_system)()

    async with socket(user) as browser:
        snapshot = await browser.message()
        await change(system, snapshot["seq"] + 1)
        following = await browser.message()

    assert snapshot["type"] == "snapshot"
    assert snapshot["body"]["system"]["slug"] == system.slug
    assert [(one["id"], one["name"], one["latest"]) for one in snapshot["body"]["units"]] == [
        (unit.pk, "billing-1", {})
    ]
    assert set(snapshot["body"]) >= {"viability", "alerts", "fleets", "tick"}
    assert (following["type"], following["seq"]) == ("changes", snapshot["seq"] + 1)


async def test_a_change_that_the_snapshot_holds_already_is_not_sent_again() -> None:
    """An old value after a newer one would be shown as if it were the newest."""
    user = await database_sync_to_async(make_user)(role="viewer")
    system = await database_sync_to_async(root_system)()

    async with socket(user) as browser:
        number = (await browser.message())["seq"]
        await change(system, number, ("tick", "old", {}))
        await change(system, number + 1, ("tick", "new", {}))
        following = await browser.message()

    assert [one["key"] for one in following["changes"]] == ["new"]


async def test_changes_of_another_system_are_not_heard() -> None:
    """A tenant must not see another's numbers."""
    user = await database_sync_to_async(make_user)(role="viewer")
    other = await database_sync_to_async(make_system)()

    async with socket(user) as browser:
        number = (await browser.message())["seq"]
        await change(other, number + 1)

        assert await browser.receive_nothing()


async def test_whoever_logs_out_hears_nothing_more(client: Client) -> None:
    """A page that is left open on a shared screen must not go on showing the fleet; other sessions stay."""
    user = await database_sync_to_async(make_user)(role="viewer")
    await database_sync_to_async(client.force_login)(user)
    mine, other = (
        await database_sync_to_async(lambda: client.session)(),
        SessionStore("0123456789abcdef0123456789abcdef"),
    )

    async with socket(user, session=mine) as here, socket(user, session=other) as there:
        number = (await here.message(), await there.message())[1]["seq"]
        await database_sync_to_async(client.post)("/logout/")

        closed = await here.hear()
        await change(await database_sync_to_async(root_system)(), number + 1)
        still = await there.message()

    assert (closed["type"], closed["code"]) == ("websocket.close", consumers.LOGIN_NEEDED)
    assert still["type"] == "changes"


async def test_a_browser_may_ask_for_a_new_snapshot() -> None:
    """It does after a gap; asking often must not make the server build one per question."""
    user = await database_sync_to_async(make_user)(role="viewer")

    async with socket(user) as browser:
        await browser.message()
        for _ in range(3):
            await browser.say(SNAPSHOT)
        again = await browser.message()

        assert again["type"] == "snapshot"
        assert await browser.receive_nothing()


@pytest.mark.parametrize("text", ["", "nonsense", "[1]", '{"type": "other"}'])
async def test_nonsense_from_a_browser_is_ignored(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket is open to whoever has a session; no message may break it."""
    monkeypatch.setattr(consumers, "ANSWER_EVERY_SECONDS", 0)
    user = await database_sync_to_async(make_user)(role="viewer")

    async with socket(user) as browser:
        await browser.message()
        await browser.say(text)
        await browser.say(SNAPSHOT)

        assert (await browser.message())["type"] == "snapshot"


async def test_nobody_hears_anything_without_a_login() -> None:
    """The code tells the browser to offer the login instead of trying again."""
    async with socket(AnonymousUser()) as browser:
        answer = await browser.hear()

    assert (answer["type"], answer["code"]) == ("websocket.close", consumers.LOGIN_NEEDED)


@pytest.mark.parametrize("slug", ["theirs", "no-such-system"])
async def test_a_system_of_others_is_closed(slug: str) -> None:
    """Whether it exists is not told either: both answers are the same."""
    user = await database_sync_to_async(make_user)(role="viewer")
    await database_sync_to_async(make_system)("theirs")

    async with socket(user, slug) as browser:
        answer = await browser.hear()

    assert (answer["type"], answer["code"]) == ("websocket.close", consumers.NOT_YOURS)


async def test_whoever_loses_the_right_to_look_is_closed_at_once() -> None:
    """A page stays open for days; the answer of the day it was opened must not hold for all of them."""
    removed, locked, renamed, stays = [await database_sync_to_async(make_user)(role="viewer") for _ in range(4)]

    async with socket(removed) as one, socket(locked) as two, socket(renamed) as three, socket(stays) as four:
        for browser in (one, two, three, four):
            await browser.message()
        await database_sync_to_async(Membership.objects.filter(user=removed).delete)()
        assert (await one.hear())["code"] == consumers.NOT_YOURS
        locked.is_active = False
        await database_sync_to_async(locked.save)()
        assert (await two.hear())["code"] == consumers.LOGIN_NEEDED
        await database_sync_to_async(renamed.set_password)("another-long-password")
        await database_sync_to_async(renamed.save)()
        assert (await three.hear())["code"] == consumers.LOGIN_NEEDED

        assert await four.receive_nothing()


async def test_a_browser_that_takes_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It costs little, but not for ever; the code tells it to come back when it can read."""
    monkeypatch.setattr(consumers, "LAG_SECONDS", 0.01)
    sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    class Deaf(DashboardConsumer):
        async def send(self, *args: Any, **kwargs: Any) -> None:
            await asyncio.sleep(60)

        async def close(self, code: int | None = None, reason: str | None = None) -> None:
            await sent.put({"code": code})

    user = await database_sync_to_async(make_user)(role="viewer")
    async with socket(user, consumer=Deaf):
        closed = await asyncio.wait_for(sent.get(), WAIT_SECONDS)

    assert closed == {"code": consumers.TOO_SLOW}


async def test_a_page_has_in_sight_what_it_asks_for() -> None:
    """A fleet of thousands is never sent whole; the totals tell of the rest."""
    user = await database_sync_to_async(make_user)(role="viewer")
    units = [await database_sync_to_async(make_unit)(f"billing-{n}", score=n / 10) for n in range(5)]

    async with socket(user, "main&units=2") as browser:
        first = (await browser.message())["body"]
        await browser.say('{"type": "view", "q": "LLING-4"}')
        second = (await browser.message())["body"]

    assert [unit["name"] for unit in first["units"]] == ["billing-0", "billing-1"]
    assert first["view"] == {"units": 2, "matching": 5, "cut": True}
    assert [unit["id"] for unit in second["units"]] == [units[4].pk]
    assert second["totals"]["units"]["all"] == 5
    assert second["totals"]["units"]["health"] == {"healthy": 0, "degraded": 0, "unhealthy": 5, "unknown": 0}
    assert second["channels"]["algedonic"] == {"per_second": 0.0, "open": 0}


@pytest.mark.parametrize(
    ("origin", "answer"),
    [
        pytest.param("http://localhost:8000", "websocket.accept", id="this site"),
        pytest.param("https://proxied.localhost", "websocket.accept", id="one that is trusted"),
        pytest.param("http://localhost:9000", "websocket.close", id="another port of this host"),
        pytest.param("https://elsewhere.example", "websocket.close", id="another site"),
        pytest.param("http://[", "websocket.close", id="nonsense"),
        pytest.param("", "websocket.close", id="none"),
    ],
)
async def test_a_page_of_another_site_opens_no_socket(origin: str, answer: str, settings: Any) -> None:
    """A browser sends the cookies of this site with a socket that any page opens: the origin tells them apart."""
    settings.CSRF_TRUSTED_ORIGINS = ["https://proxied.localhost"]
    headers = [(b"host", b"localhost:8000"), (b"origin", origin.encode())]
    scope = {"type": "websocket", "path": "/ws/dashboard/", "query_string": b"", "headers": headers}

    browser = Browser(SameOrigin(asgi.application.application_mapping["websocket"].application._application), scope)
    await browser.send_input({"type": "websocket.connect"})

    assert (await browser.hear())["type"] == answer
    await browser.send_input({"type": "websocket.disconnect", "code": 1000})
    await browser.wait()


def test_every_socket_of_the_site_asks_where_its_page_is_from() -> None:
    """The test above would pass without it."""
    allowed_hosts = asgi.application.application_mapping["websocket"]

    assert isinstance(allowed_hosts, OriginValidator)
    assert isinstance(allowed_hosts.application, SameOrigin)
