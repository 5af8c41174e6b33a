"""What an open dashboard hears over its socket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from channels.layers import get_channel_layer
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore
from django.test import Client

from subsystems.messaging import live
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from tests.support.factories import make_system, make_unit, make_user
from vsm_site.dashboard import consumers
from vsm_site.dashboard.consumers import DashboardConsumer

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
async def socket(user: Any, slug: str = "", session: Any = None) -> AsyncIterator[Browser]:
    """A browser's socket, as the site's routing would open it."""
    scope = {
        "type": "websocket",
        "path": "/ws/dashboard/",
        "query_string": f"system={slug}".encode(),
        "user": user,
        "session": session,
    }
    browser = Browser(DashboardConsumer.as_asgi(), scope)
    await browser.send_input({"type": "websocket.connect"})
    assert (await browser.hear())["type"] == "websocket.accept"
    yield browser
    await browser.send_input({"type": "websocket.disconnect", "code": 1000})
    await browser.wait()


async def change(system: System, number: int, key: str = "1") -> None:
    message = {"type": "live.change", "seq": number, "changes": [{"kind": "tick", "key": key, "body": {}}]}
    await get_channel_layer().group_send(live.group(system.pk), message)


async def test_a_snapshot_comes_first_and_then_numbered_changes() -> None:
    """The numbers let a browser see that it missed one."""
    user = await sync_to_async(make_user)(role="viewer")
    unit = await sync_to_async(make_unit)("billing-1")
    system = await sync_to_async(root_system)()

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
    user = await sync_to_async(make_user)(role="viewer")
    system = await sync_to_async(root_system)()

    async with socket(user) as browser:
        number = (await browser.message())["seq"]
        await change(system, number, "old")
        await change(system, number + 1, "new")
        following = await browser.message()

    assert [one["key"] for one in following["changes"]] == ["new"]


async def test_changes_of_another_system_are_not_heard() -> None:
    """A tenant must not see another's numbers."""
    user = await sync_to_async(make_user)(role="viewer")
    other = await sync_to_async(make_system)()

    async with socket(user) as browser:
        number = (await browser.message())["seq"]
        await change(other, number + 1)

        assert await browser.receive_nothing()


async def test_whoever_logs_out_hears_nothing_more(client: Client) -> None:
    """A page that is left open on a shared screen must not go on showing the fleet; other sessions stay."""
    user = await sync_to_async(make_user)(role="viewer")
    await sync_to_async(client.force_login)(user)
    mine, other = await sync_to_async(lambda: client.session)(), SessionStore("0123456789abcdef0123456789abcdef")

    async with socket(user, session=mine) as here, socket(user, session=other) as there:
        number = (await here.message(), await there.message())[1]["seq"]
        await sync_to_async(client.post)("/logout/")

        closed = await here.hear()
        await change(await sync_to_async(root_system)(), number + 1)
        still = await there.message()

    assert (closed["type"], closed["code"]) == ("websocket.close", consumers.LOGIN_NEEDED)
    assert still["type"] == "changes"


async def test_a_browser_may_ask_for_a_new_snapshot() -> None:
    """It does after a gap; asking often must not make the server build one per question."""
    user = await sync_to_async(make_user)(role="viewer")

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
    monkeypatch.setattr(consumers, "SNAPSHOT_EVERY_SECONDS", 0)
    user = await sync_to_async(make_user)(role="viewer")

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
    user = await sync_to_async(make_user)(role="viewer")
    await sync_to_async(make_system)("theirs")

    async with socket(user, slug) as browser:
        answer = await browser.hear()

    assert (answer["type"], answer["code"]) == ("websocket.close", consumers.NOT_YOURS)
