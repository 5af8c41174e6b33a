"""How changes wait for open dashboards: in order, once, and never for the slowest."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from subsystems.messaging.live import pack
from vsm_site.dashboard import live_room
from vsm_site.dashboard.live_room import Room, Viewer
from vsm_site.dashboard.live_view import View, parse_view

UNITS = {1: "web-1", 2: "web-2", 3: "billing-1"}


class Source:
    """What a room makes snapshots and totals from."""

    def __init__(self) -> None:
        self.number, self.made = 100, 0
        self.units = dict(UNITS)

    async def snapshot(self, view: View) -> tuple[int, dict[str, Any]]:
        self.made += 1
        await asyncio.sleep(0)
        named = [{"id": pk, "kind": "agent", "name": name} for pk, name in self.units.items()]
        units = [unit for unit in named if view.matches(unit)]
        shown = units[: view.limit]
        return self.number, {"units": shown, "view": {"cut": len(units) > len(shown)}}

    async def totals(self) -> dict[str, Any]:
        return {"units": {"all": len(self.units)}}

    def room(self) -> Room:
        return Room(self.number, self.snapshot, self.totals)


async def opened(room: Room, view: View | None = None) -> Viewer:
    """Return a browser that has its snapshot."""
    viewer = room.enter(view or View(), None)
    assert (await heard(viewer))["type"] == "snapshot"
    return viewer


async def heard(viewer: Viewer) -> dict[str, Any]:
    return dict(json.loads(await asyncio.wait_for(viewer.next(), 10)))


async def nothing(viewer: Viewer) -> bool:
    """Return whether nothing is to be told now."""
    waiting = asyncio.ensure_future(viewer.next())
    await asyncio.sleep(0.01)
    done = waiting.done()
    waiting.cancel()
    return not done


def keys(message: dict[str, Any]) -> list[tuple[str, str]]:
    return [(change["kind"], change["key"]) for change in message["changes"]]


async def test_what_comes_out_of_order_is_told_in_order() -> None:
    """Two processes number and send side by side; an old state after a new one would be shown as the newest."""
    room = Source().room()
    viewer = await opened(room)

    room.take(102, [pack("finding", "b", {"n": 2})])
    room.take(101, [pack("finding", "a", {"n": 1})])
    room.take(101, [pack("finding", "a", {"n": 1})])
    message = await heard(viewer)

    assert (message["from"], message["seq"], keys(message)) == (101, 102, [("finding", "a"), ("finding", "b")])
    assert await nothing(viewer)


async def test_a_hole_that_stays_gives_everyone_a_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is lost between processes cannot be told any more; it must not go unnoticed either."""
    monkeypatch.setattr(live_room, "HOLE_SECONDS", 0.0)
    source = Source()
    room = source.room()
    viewers = [await opened(room), await opened(room)]

    source.number = 102
    room.take(102, [pack("finding", "b", {})])
    messages = [await heard(viewer) for viewer in viewers]
    room.take(103, [pack("finding", "c", {})])

    assert [(message["type"], message["seq"]) for message in messages] == [("snapshot", 102)] * 2
    assert room.holes == 1
    assert (await heard(viewers[0]))["from"] == 103


async def test_a_slow_browser_hears_the_newest_of_each_thing_and_costs_the_others_nothing() -> None:
    """It comes to take its next message when it has written the last; meanwhile the others go on."""
    room = Source().room()
    quick, slow = await opened(room), await opened(room)

    for n in range(1, 6):
        room.take(100 + n, [pack("finding", "a", {"n": n}), pack("tasks", "1", {"changed": n})])
        assert (await heard(quick))["seq"] == 100 + n
    message = await heard(slow)

    assert (message["from"], message["seq"]) == (101, 105)
    findings = [change["body"] for change in message["changes"] if change["kind"] == "finding"]
    news = [change["body"]["changed"] for change in message["changes"] if change["kind"] == "tasks"]
    assert findings == [{"n": 5}]
    assert news == [1, 2, 3, 4, 5]


async def test_samples_of_other_metrics_are_not_taken_for_newer_ones() -> None:
    """An agent sends its metrics one by one; each says nothing of the others."""
    room = Source().room()
    viewer = await opened(room)
    room._next_at = asyncio.get_running_loop().time() + 0.02

    for n, metric in enumerate(["cpu", "memory", "cpu"]):
        room.take(101 + n, [pack("samples", "1", {metric: [n, n]})])
    message = await heard(viewer)

    assert [change["body"] for change in message["changes"]] == [{"memory": [1, 1]}, {"cpu": [2, 2]}]


async def test_samples_wait_for_one_another_and_a_signal_takes_them_along() -> None:
    """Numbers that flicker faster than eyes follow only cost; what hurts leaves at once, and nothing overtakes it."""
    room = Source().room()
    viewer = await opened(room)
    room._next_at = asyncio.get_running_loop().time() + 60

    room.take(101, [pack("samples", "1", {"cpu": [1, 1]})])
    waited = await nothing(viewer)
    room.take(102, [pack("signal", "A1", {"severity": "critical"})])

    assert waited
    assert keys(await heard(viewer)) == [("samples", "1"), ("signal", "A1")]


async def test_a_thousand_browsers_are_told_of_samples_four_times_a_second() -> None:
    """And one alone at once: the pace is what the number of browsers asks for."""
    room = Source().room()
    paces = []

    for _ in range(1000):
        room.enter(View(), None)
        paces.append(room.pace)

    assert paces[0] < 0.001
    assert paces[-1] == live_room.SLOWEST_PACE_SECONDS == 0.25


async def test_what_is_not_kept_any_more_is_told_by_a_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for one browser that never reads is bounded, for all of them together."""
    monkeypatch.setattr(live_room, "KEPT_BYTES", 2_000)
    source = Source()
    room = source.room()
    deaf = await opened(room)

    for n in range(50):
        room.take(101 + n, [pack("finding", str(n), {"text": "x" * 100})])
    source.number = 150
    kept = sum(batch.size for batch in room._log)

    assert kept <= 2_000
    assert (await heard(deaf))["type"] == "snapshot"


async def test_those_who_ask_together_share_one_snapshot_and_one_message() -> None:
    """Five hundred browsers that come back after a restart must not make five hundred snapshots."""
    source = Source()
    room = source.room()

    viewers = [room.enter(View(), None) for _ in range(20)]
    first = await asyncio.gather(*(viewer.next() for viewer in viewers))
    room.take(101, [pack("finding", "a", {})])
    second = await asyncio.gather(*(viewer.next() for viewer in viewers))

    assert source.made == 1
    assert len({id(text) for text in first}) == len({id(text) for text in second}) == 1


async def test_a_browser_that_was_only_cut_off_goes_on_where_it_was() -> None:
    """A laptop that slept for a minute needs what changed, not everything; a longer sleep needs everything."""
    source = Source()
    room = source.room()
    before = await opened(room)
    room.leave(before)
    room.take(101, [pack("finding", "a", {})])

    resumed = await heard(room.enter(View(), 100))
    idle = await heard(room.enter(View(), 101))
    long_gone = await heard(room.enter(View(), 7))
    elsewhere = await heard(room.enter(View(kind="host"), 100))

    assert (resumed["type"], resumed["from"], keys(resumed)) == ("changes", 101, [("finding", "a")])
    assert (idle["type"], idle["from"], idle["seq"], idle["changes"]) == ("changes", 102, 101, [])
    assert long_gone["type"] == elsewhere["type"] == "snapshot"


async def test_a_browser_hears_samples_of_what_it_has_in_sight() -> None:
    """Ten thousand units tell of themselves every five seconds; a page shows forty."""
    room = Source().room()
    whole, web, one, none = [
        await opened(room, view) for view in (View(), View(text="web"), View(ids=frozenset({3})), View(limit=0))
    ]

    samples = [pack("samples", str(pk), {"cpu": [1, 1]}) for pk in UNITS]
    unit = {"id": 4, "kind": "agent", "name": "web-9"}
    room.take(101, [*samples, pack("unit", "4", unit), pack("samples", "4", {"cpu": [1, 1]}), pack("tick", "tick", {})])

    tick = ("tick", "tick")
    news = [("unit", "4"), ("samples", "4")]
    assert keys(await heard(whole)) == [*(("samples", str(pk)) for pk in UNITS), *news, tick]
    assert keys(await heard(web)) == [("samples", "1"), ("samples", "2"), *news, tick]
    assert keys(await heard(one)) == [("samples", "3"), tick]
    assert keys(await heard(none)) == [tick]


async def test_what_is_out_of_sight_is_no_hole() -> None:
    """Or each cycle would have every page without units ask for everything again."""
    room = Source().room()
    viewer = await opened(room, View(limit=0))
    samples = [pack("samples", str(pk), {"cpu": [1, 1]}) for pk in UNITS]

    room.take(101, samples)
    assert await nothing(viewer)
    room.take(102, samples)
    assert await nothing(viewer)
    room.take(103, [pack("finding", "1", {})])
    shown = await heard(viewer)

    assert (shown["from"], shown["seq"], keys(shown)) == (101, 103, [("finding", "1")])


async def test_totals_join_on_to_what_was_told() -> None:
    """They have a number too: what was out of sight before it must not look as if it were lost."""
    room = Source().room()
    viewer = await opened(room, View(limit=0))
    room.take(101, [pack("samples", "1", {"cpu": [1, 1]})])
    assert await nothing(viewer)

    room.counted, room.totals_text = 1, '{"type":"totals","seq":101,"body":{}}'
    messages = [await heard(viewer), await heard(viewer)]

    assert messages[0] == {"type": "changes", "from": 101, "seq": 101, "changes": []}
    assert messages[1] == {"type": "totals", "seq": 101, "body": {}}
    assert await nothing(viewer)


async def test_totals_follow_a_tick_and_a_view_that_was_outgrown_is_cut() -> None:
    """A page that folds units into counts needs no unit; and one that showed all must not go on hearing of all."""
    source = Source()
    room = source.room()
    viewer, few = await opened(room), await opened(room, View(limit=3))

    source.units |= {pk: f"web-{pk}" for pk in range(4, 50)}
    room.take(101, [pack("tick", "tick", {})])
    messages = [await heard(viewer), await heard(viewer)]
    cut = await heard(few)

    assert [message["type"] for message in messages] == ["changes", "totals"]
    assert messages[1] == {"type": "totals", "seq": 101, "body": {"units": {"all": 49}}}
    assert (cut["type"], cut["body"]["view"]["cut"]) == ("snapshot", True)
    assert few.audience.ids == {"1", "2", "3"}


@pytest.mark.parametrize(
    ("said", "view"),
    [
        pytest.param({}, View(), id="nothing is as usual"),
        pytest.param(
            {"units": "40", "q": " Web ", "kind": "host"}, View(40, text="web", kind="host"), id="as an address"
        ),
        pytest.param({"units": 0}, View(0), id="none"),
        pytest.param({"units": 10**9, "queues": "-1"}, View(1000), id="more than there may be"),
        pytest.param({"units": True, "q": 5, "ids": {"a": 1}}, View(), id="nonsense"),
        pytest.param({"ids": "7,x,8," + "9" * 30}, View(ids=frozenset({7, 8})), id="units by number"),
        pytest.param({"ids": [7, None, "8"]}, View(ids=frozenset({7, 8})), id="units as a list"),
    ],
)
def test_a_view_is_what_was_asked_for_within_bounds(said: dict[str, Any], view: View) -> None:
    """It comes from a browser: whatever it says, the answer stays small and nothing breaks."""
    assert parse_view(said) == view
