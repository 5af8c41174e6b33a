"""Where the changes of one system wait for its open dashboards: kept once, encoded once, taken at each one's speed.

No browser has a queue. The room keeps the last changes in order, and each browser a number: what it was sent up to. A
browser that is slow takes more at once, only the newest state of each thing; one that is too slow, or was away for too
long, takes a snapshot. So it costs nothing to be slow, and nobody waits for anybody.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from vsm_site.dashboard.live_view import View

HOLE_SECONDS = 0.3  # two processes may number and send in different order: a hole gets this long to close
KEPT_SECONDS, KEPT_BYTES = 120.0, 4_000_000  # of changes: how long a browser may be away and just go on
LARGEST_MESSAGE = 512_000  # more than that to catch up with is told shorter by a snapshot
UNHURRIED = {"samples", "tasks", "environment"}  # kinds that may wait for the next message; all others leave at once
# What is not urgent leaves the less often the more browsers there are, and at most every quarter of a second at 1,000.
PACE_SECONDS, SLOWEST_PACE_SECONDS = 0.00025, 0.25
SNAPSHOT_SECONDS = 1.0  # one snapshot serves all who ask within this time
TOTALS_SECONDS = 2.0  # totals are counted again at most this often, when something that they count has changed
COUNTED = {"tick", "alert", "signal"}

Snapshot = Callable[[View], Awaitable[tuple[int, dict[str, Any]]]]
Totals = Callable[[], Awaitable[dict[str, Any] | None]]
T = TypeVar("T")


class Item(NamedTuple):
    """One change: what a newer one replaces it by ("" for none), and its JSON."""

    kind: str
    key: str
    same: str
    text: str


class Batch(NamedTuple):
    """What came under one number."""

    number: int
    at: float
    size: int
    items: list[Item]


def _changes(told: int, upto: int, changes: str) -> str:
    return f'{{"type":"changes","from":{told + 1},"seq":{upto},"changes":[{changes}]}}'


@dataclass(eq=False)
class Audience:
    """The browsers with the same view. *ids* are the units in their sight; None when all of the system's are."""

    view: View
    ids: set[str] | None = field(default_factory=set)
    known: bool = False  # a snapshot has told which units these are
    viewers: set[Viewer] = field(default_factory=set)
    left_at: float = 0.0
    made_at: float = float("-inf")
    made: tuple[int, str] = (0, "")
    making: asyncio.Task[tuple[int, str]] | None = None

    def wants(self, item: Item) -> bool:
        """Return whether a change is of anything in sight; a unit that comes into sight is remembered."""
        if item.kind == "samples":
            return self.ids is None or item.key in self.ids
        if item.kind == "unit" and self.ids is not None and item.key not in self.ids:
            body = json.loads(item.text)["body"]
            if body is None or not self.view.matches(body):
                return False
            self.ids.add(item.key)
        return True

    def see(self, body: Mapping[str, Any]) -> None:
        """Remember which units a snapshot shows; some browsers may still have those of the one before."""
        shown = {str(unit["id"]) for unit in body["units"]}
        view = self.view
        whole = view.limit and not (view.ids or view.text or view.kind or body["view"]["cut"])
        before = self.ids if self.ids and len(self.ids) < 4 * len(shown) else set()
        self.ids, self.known = None if whole else shown | before, True


@dataclass(eq=False)
class Viewer:
    """One browser: how far it was told, and whose it is."""

    room: Room
    audience: Audience
    told: int | None = None  # the number that it was told last, to which the next message joins on; None: nothing yet
    seen: int = 0  # the number up to which nothing else is in its sight
    counted: int = 0  # which totals it has
    resumed: bool = False
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    async def next(self) -> str:
        """Return the next message for this browser; wait until there is one."""
        while True:
            self.wake.clear()
            text = await self._take()
            if text:
                return text
            await self.wake.wait()

    async def _take(self) -> str:
        room = self.room
        if self.told is not None:
            found = room.after(self.told, self.seen, self.audience)
            if found is not None:
                self.seen, text = found
                if text or self.resumed or self.counted != room.counted:
                    text = self._join(text)
                return text or self._take_totals()
        self.resumed = False
        self.counted = room.counted
        self.told, text = await room.snapshot(self.audience)
        self.seen = self.told
        return text

    def _join(self, text: str) -> str:
        """Return *text*, or where nothing is in sight a word that nothing was missed, for what is told next."""
        assert self.told is not None
        if not text and (self.resumed or self.told < self.seen):
            text = _changes(self.told, self.seen, "")
        self.told, self.resumed = self.seen, False
        return text

    def _take_totals(self) -> str:
        if self.counted == self.room.counted:
            return ""
        self.counted = self.room.counted
        return self.room.totals_text

    def look(self, view: View) -> None:
        """Show this browser something else from now on."""
        self.room.leave_audience(self)
        self.audience = self.room.audience(view)
        self.audience.viewers.add(self)
        self.start_over()

    def start_over(self) -> None:
        """Give this browser a snapshot next."""
        self.told = None
        self.wake.set()


class Room:
    """One system in one web process. Everything here happens on the loop of the web server."""

    def __init__(self, last: int, snapshot: Snapshot, totals: Totals) -> None:
        self._loop = asyncio.get_running_loop()
        self._make_snapshot, self._make_totals = snapshot, totals
        self.viewers: set[Viewer] = set()
        self.last = last  # the highest number up to which nothing is missing
        self.shown = last  # up to which browsers may take
        self.holes = 0
        self.counted, self.totals_text = 0, ""
        self._log: deque[Batch] = deque()
        self._size = 0
        self._early: dict[int, Batch] = {}
        self._texts: dict[tuple[Audience, int, int], str] = {}
        self._audiences: dict[View, Audience] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._next_at = self._next_count_at = 0.0
        self._tasks: set[asyncio.Task[Any]] = set()

    # --- Browsers ----------------------------------------------------------------------------------------------------
    def enter(self, view: View, since: int | None) -> Viewer:
        """Return a new browser's place; one that knows all up to *since* goes on from there if that is still kept."""
        audience = self.audience(view)
        goes_on = audience.known and since is not None and self._first - 1 <= since <= self.last
        told = since if goes_on else None
        viewer = Viewer(self, audience, told, seen=told or 0, resumed=goes_on)
        audience.viewers.add(viewer)
        self.viewers.add(viewer)
        return viewer

    def leave(self, viewer: Viewer) -> None:
        self.viewers.discard(viewer)
        self.leave_audience(viewer)

    def leave_audience(self, viewer: Viewer) -> None:
        audience = viewer.audience
        audience.viewers.discard(viewer)
        if not audience.viewers:  # kept for whoever was only cut off, without what it was told last
            audience.left_at, audience.made_at, audience.made = self._loop.time(), float("-inf"), (0, "")

    def audience(self, view: View) -> Audience:
        """Return the audience of *view*; those that all have left for good are forgotten."""
        oldest = self._loop.time() - KEPT_SECONDS
        for each in [each for each in self._audiences.values() if not each.viewers and each.left_at < oldest]:
            del self._audiences[each.view]
        return self._audiences.setdefault(view, Audience(view))

    def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        for task in self._tasks:
            task.cancel()

    # --- What comes in ------------------------------------------------------------------------------------------------
    def take(self, number: int, changes: Sequence[Sequence[str]]) -> None:
        """Keep one numbered batch of changes (`messaging.live.pack`) and tell the browsers of it."""
        if number <= self.last:
            return
        items = [Item(*change) for change in changes]
        self._early[number] = Batch(number, self._loop.time(), sum(len(item.text) for item in items), items)
        fresh: list[Item] = []
        while (batch := self._early.pop(self.last + 1, None)) is not None:
            self._keep(batch)
            fresh += batch.items
        if self._early:
            self._after("hole", HOLE_SECONDS, self._give_up_hole)
        else:
            self._cancel("hole")
        if fresh:
            self._tell(hurried=any(item.kind not in UNHURRIED for item in fresh))
            if any(item.kind in COUNTED for item in fresh):
                self._count_soon()

    def _keep(self, batch: Batch) -> None:
        self.last = batch.number
        self._log.append(batch)
        self._size += batch.size
        while len(self._log) > 1 and (self._size > KEPT_BYTES or batch.at - self._log[0].at > KEPT_SECONDS):
            self._size -= self._log.popleft().size

    def _give_up_hole(self) -> None:
        """Something is lost for good: all browsers start again from a snapshot."""
        self._timers.pop("hole", None)
        self.holes += 1
        self.last = self.shown = max(self._early)
        self._early.clear()
        self._log.clear()
        self._size = 0
        self._texts.clear()
        for audience in self._audiences.values():
            audience.made_at = float("-inf")
        for viewer in self.viewers:
            viewer.start_over()

    # --- What goes out ------------------------------------------------------------------------------------------------
    @property
    def _first(self) -> int:
        return self._log[0].number if self._log else self.last + 1

    @property
    def pace(self) -> float:
        """Return how many seconds lie at least between two messages that nobody waits for."""
        return min(SLOWEST_PACE_SECONDS, PACE_SECONDS * len(self.viewers))

    def after(self, told: int, seen: int, audience: Audience) -> tuple[int, str] | None:
        """Return up to which number there is news after *seen*, and its message ("" for nothing in sight).

        None when what follows *seen* is not kept any more, or too much to be told one by one. The message joins on to
        *told*, or what was out of sight would look like a hole.
        """
        if seen >= self.shown:
            return seen, ""
        if seen < self._first - 1:
            return None
        text = self._texts.get((audience, told, seen))
        if text is None:
            text = self._texts[audience, told, seen] = self._message(told, seen, audience)
        return None if len(text) > LARGEST_MESSAGE else (self.shown, text)

    def _message(self, told: int, seen: int, audience: Audience) -> str:
        latest: dict[str, Item] = {}
        start = seen + 1 - self._first
        for batch in islice(self._log, start, start + self.shown - seen):
            for place, item in enumerate(batch.items):
                if audience.wants(item):
                    same = item.same or f"{batch.number} {place}"
                    latest.pop(same, None)  # the newest stands where it came, not where the first was
                    latest[same] = item
        return _changes(told, self.shown, ",".join(item.text for item in latest.values())) if latest else ""

    async def snapshot(self, audience: Audience) -> tuple[int, str]:
        """Return a snapshot for *audience* and its number; those who ask together get the same."""
        if self._loop.time() - audience.made_at < SNAPSHOT_SECONDS and audience.made[0] >= self._first - 1:
            return audience.made
        if audience.making is None:
            audience.making = self._start(self._snapshot(audience))
        return await asyncio.shield(audience.making)

    async def _snapshot(self, audience: Audience) -> tuple[int, str]:
        started = self._loop.time()
        try:
            number, body = await self._make_snapshot(audience.view)
        finally:
            audience.making = None
        audience.see(body)
        text = json.dumps({"type": "snapshot", "seq": number, "body": body}, separators=(",", ":"))
        audience.made_at, audience.made = started, (number, text)
        return audience.made

    def _tell(self, *, hurried: bool) -> None:
        wait = 0.0 if hurried else self._next_at - self._loop.time()
        if wait <= 0:
            self._cancel("tell")
            self._show()
        else:
            self._after("tell", wait, self._show)

    def _show(self) -> None:
        self._timers.pop("tell", None)
        self.shown = self.last
        self._texts.clear()
        self._next_at = self._loop.time() + self.pace
        for viewer in self.viewers:
            viewer.wake.set()

    # --- Totals -------------------------------------------------------------------------------------------------------
    def _count_soon(self) -> None:
        if self.viewers:
            self._after("count", max(0.0, self._next_count_at - self._loop.time()), self._start_count)

    def _start_count(self) -> None:
        self._timers.pop("count", None)
        self._next_count_at = self._loop.time() + TOTALS_SECONDS
        self._start(self._count())

    async def _count(self) -> None:
        body = await self._make_totals()
        if body is None:
            return
        text = f'{{"type":"totals","seq":{self.shown},"body":{json.dumps(body, separators=(",", ":"))}}}'
        self.counted, self.totals_text = self.counted + 1, text
        for viewer in self.viewers:
            if viewer.audience.ids is None and body["units"]["all"] > viewer.audience.view.limit:
                viewer.audience.made_at = float("-inf")
                viewer.start_over()  # the system has outgrown what is shown whole
            viewer.wake.set()

    def _start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # --- Timers -------------------------------------------------------------------------------------------------------
    def _after(self, name: str, seconds: float, call: Callable[[], None]) -> None:
        if name not in self._timers:
            self._timers[name] = self._loop.call_later(seconds, call)

    def _cancel(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()
