"""Telemetry events: what the subsystems tell of their work while they do it, and who listens in this process.

An event is a name, a few numbers (measurements) and what they are about (metadata). Nothing is stored and nothing
travels: what must not be lost goes by message. Emitting takes no lock, and a listener that raises harms neither the
emitter nor the other listeners (requirements 000-4 to 000-20).
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import wraps
from inspect import iscoroutinefunction
from itertools import count
from time import perf_counter, time
from types import MappingProxyType, TracebackType
from typing import Any, TypeVar

from subsystems.kernel.errors import Invalid, NotListed
from subsystems.kernel.telemetry_names import EVENTS, Event, alias_table

logger = logging.getLogger(__name__)
METRICS_HANDLER = "vsm-metrics-handler"  # 000-19
EVERY = "*"
DETACH_AFTER = 5  # failures in a row
MAX_DEPTH = 3  # a listener may emit, and one that hears that too; further down it is a loop
MAX_ERROR = 2_000  # letters
MAX_EVENTS = 200  # names are label values of a metric
NAME = re.compile(r"(?=.{3,80}\Z)[a-z][a-z0-9_]*(\.[a-z0-9_]+)+")
NOTHING: Mapping[str, Any] = MappingProxyType({})
Function = Callable[[str, Mapping[str, Any], Mapping[str, Any]], object]
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(slots=True)
class Handler:
    """A listener and how it fares."""

    id: str
    function: Function
    wanted: tuple[str, ...]
    failures_in_a_row: int = 0
    failures: int = 0
    attached: bool = True


class _Depth(threading.local):
    value = 0


class Bus:
    """Takes events to those who listen. The table is replaced as a whole, so that emitting reads it without a lock."""

    def __init__(self, events: Iterable[Event] = EVENTS, *, detach_after: int = DETACH_AFTER) -> None:
        self._events = {event.name: event for event in events}
        self._aliases = alias_table(self._events.values())
        self._detach_after = detach_after
        self._handlers: dict[str, Handler] = {}
        self._routes: dict[str, tuple[str, tuple[Handler, ...]]] = {}
        self._failures = Counter()
        self._lock = threading.Lock()  # of those who attach and detach
        self._depth = _Depth()
        self._reroute()

    def emit(self, name: str, measurements: Mapping[str, Any] = NOTHING, metadata: Mapping[str, Any] = NOTHING) -> None:
        """Tell whoever listens. Raises NotListed for a name that nobody declared, and nothing else.

        Listeners hear the canonical name, are called here and now, one after the other, and must not change what they
        are given.
        """
        try:
            name, handlers = self._routes[name]
        except KeyError:
            raise NotListed(f"There is no telemetry event {name!r:.80}.", field="event") from None
        if not handlers:
            return
        depth = self._depth
        if depth.value >= MAX_DEPTH:
            return
        depth.value += 1
        try:
            for handler in handlers:
                try:
                    handler.function(name, measurements, metadata)
                except Exception as error:  # noqa: BLE001  (a listener's mistake is its own; it is told below)
                    self._count_failure(handler, name, error)
                else:
                    if handler.failures_in_a_row:
                        handler.failures_in_a_row = 0
        finally:
            depth.value -= 1

    def attach(self, handler_id: str, events: str | Iterable[str], function: Function) -> None:
        """Call *function* with (event, measurements, metadata) at each of *events*: names, aliases, `vsm.s1.*`, `*`.

        One that is attached again under its id replaces the earlier one. Raises NotListed naming what there is not.
        """
        if not handler_id or not callable(function):
            raise Invalid("A telemetry handler needs an id and a function.", field="handler_id")
        wanted = (events,) if isinstance(events, str) else tuple(events)
        for each in wanted:
            self.names_of(each)
        with self._lock:
            self._handlers[handler_id] = Handler(handler_id, function, wanted)
            self._reroute()

    def detach(self, handler_id: str) -> bool:
        """Let a handler hear no more; return whether it was attached."""
        with self._lock:
            gone = self._handlers.pop(handler_id, None)
            if gone is not None:
                gone.attached = False
                self._reroute()
        return gone is not None

    def declare(self, event: Event) -> None:
        """Add a kind of event, for a project that has its own; declaring it again changes nothing. Raises Invalid."""
        with self._lock:
            if self._events.get(event.name) == event:
                return
            if event.name in self._routes or event.name in self._aliases:
                raise Invalid(f"The name {event.name!r:.80} is taken.", field="event")
            if not NAME.fullmatch(event.name):
                raise Invalid("A name is words of a-z, 0-9 and _ with dots between, 80 letters at most.", field="event")
            if len(self._events) >= MAX_EVENTS:
                raise Invalid(f"There are {MAX_EVENTS} kinds of telemetry events already.", field="event")
            self._events = {**self._events, event.name: event}
            self._reroute()

    def names_of(self, text: str) -> tuple[str, ...]:
        """Return the canonical names that *text* stands for. Raises NotListed when there are none."""
        if text in self._events:
            return (text,)
        if text in self._aliases:
            return self._aliases[text]
        if text == EVERY:
            return tuple(self._events)
        listed = (*self._events, *self._aliases)
        found = [name for name in listed if text.endswith(".*") and name.startswith(text[:-1])]
        if not found:
            raise NotListed(f"There is no telemetry event {text!r:.80}.", field="events")
        return tuple(dict.fromkeys(name for each in found for name in self._aliases.get(each, (each,))))

    def knows(self, name: str) -> bool:
        """Return whether *name* is the canonical name of an event."""
        return name in self._events

    def events(self) -> list[Event]:
        """Return every kind of event, by name."""
        return sorted(self._events.values(), key=lambda event: event.name)

    def handlers(self) -> list[Handler]:
        """Return who is attached, by id."""
        return sorted(self._handlers.values(), key=lambda handler: handler.id)

    def failure_count(self) -> int:
        """Return how often a listener raised."""
        return self._failures.value()

    def _count_failure(self, handler: Handler, name: str, error: Exception) -> None:
        self._failures.add()
        handler.failures += 1
        handler.failures_in_a_row += 1
        if handler.failures_in_a_row == 1:
            logger.error("The telemetry handler %s failed at %s.", handler.id, name, exc_info=error)
        elif handler.failures_in_a_row >= self._detach_after:
            self._detach_broken(handler)

    def _detach_broken(self, handler: Handler) -> None:
        with self._lock:
            if self._handlers.get(handler.id) is not handler:  # replaced or detached meanwhile
                return
            del self._handlers[handler.id]
            handler.attached = False
            self._reroute()
        logger.error("The telemetry handler %s failed %d times in a row: detached.", handler.id, self._detach_after)

    def _reroute(self) -> None:
        heard = {id_: {name for each in h.wanted for name in self.names_of(each)} for id_, h in self._handlers.items()}
        routes = {
            name: (name, tuple(handler for id_, handler in self._handlers.items() if name in heard[id_]))
            for name in self._events
        }
        for alias, names in self._aliases.items():
            if len(names) == 1:  # one that stands for several can be listened to, not emitted
                routes[alias] = routes[names[0]]
        self._routes = routes

    def span(
        self,
        name: str,
        metadata: Mapping[str, Any] = NOTHING,
        *,
        clock: Callable[[], float] = perf_counter,
        wall_clock: Callable[[], float] = time,
    ) -> Span:
        """Return what tells the start and the end of something, as a context manager or a decorator.

        *name* lacks its last word: `vsm.s1.operation`. The clocks count seconds.
        """
        return Span(self, name, metadata, clock, wall_clock)


class Span:
    """One piece of work from start to stop, or to the exception that it raised."""

    _ids = count(1)

    def __init__(
        self,
        bus: Bus,
        name: str,
        metadata: Mapping[str, Any],
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
    ) -> None:
        self._bus, self._clock, self._wall_clock = bus, clock, wall_clock
        self._name = bus.names_of(f"{name}.start")[0].removesuffix(".start")
        self.metadata = dict(metadata)
        self.success = True  # for a caller who finds that what did not raise went wrong all the same

    def __enter__(self) -> Span:
        self.metadata["span_id"] = next(self._ids)
        self._bus.emit(f"{self._name}.start", {"system_time": self._wall_clock()}, self.metadata)
        self._started = self._clock()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        duration = 1000 * (self._clock() - self._started)
        if error is None:
            self._bus.emit(f"{self._name}.stop", {"duration": duration, "success": self.success}, self.metadata)
            return
        told = {**self.metadata, **_told_of(error, traceback)}
        if self._bus.knows(f"{self._name}.exception"):
            self._bus.emit(f"{self._name}.exception", {"duration": duration}, told)
        else:  # coordination has no event for it: it stopped, without success
            self._bus.emit(f"{self._name}.stop", {"duration": duration, "success": False}, told)

    def __call__(self, function: F) -> F:
        """Tell of each call of *function*, a coroutine's included."""

        def again() -> Span:
            return Span(self._bus, self._name, self.metadata, self._clock, self._wall_clock)

        @wraps(function)
        def told(*args: Any, **kwargs: Any) -> Any:
            with again():
                return function(*args, **kwargs)

        @wraps(function)
        async def told_later(*args: Any, **kwargs: Any) -> Any:
            with again():
                return await function(*args, **kwargs)

        return told_later if iscoroutinefunction(function) else told  # type: ignore[return-value]


def _told_of(error: BaseException, traceback: TracebackType | None) -> dict[str, Any]:
    """Return an exception in words, with itself: it holds its traceback, which a listener must not keep for long."""
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    place = ""
    if traceback is not None:
        code = traceback.tb_frame.f_code
        place = f"{code.co_filename}:{traceback.tb_lineno} in {code.co_name}"
    words = str(error)[:MAX_ERROR]
    return {"error_type": type(error).__name__, "error_message": words, "raised_at": place, "error": error}


class Counter:
    """A number that many threads raise without a lock; reading takes one, and subtracts what reading itself adds."""

    __slots__ = ("_lock", "_reads", "add")

    def __init__(self) -> None:
        self.add = count().__next__  # one step of C, which the interpreter never divides
        self._reads = 0
        self._lock = threading.Lock()

    def value(self) -> int:
        with self._lock:
            self._reads += 1
            return self.add() - self._reads + 1


class Collector:
    """Counts events by name since this process began: what the handler `vsm-metrics-handler` does (000-19)."""

    def __init__(self) -> None:
        self._counters: dict[str, Counter] = {}

    def process_event(self, event: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        """Count *event*. Its name is declared, so there are at most as many counters as kinds of events."""
        try:
            self._counters[event].add()
        except KeyError:
            self._counters.setdefault(event, Counter()).add()

    def counts(self) -> dict[str, int]:
        """Return how many there were of each, by name."""
        return {name: counter.value() for name, counter in sorted(self._counters.items())}


bus = Bus()
collector = Collector()
bus.attach(METRICS_HANDLER, EVERY, collector.process_event)
emit, attach, detach, declare, span = bus.emit, bus.attach, bus.detach, bus.declare, bus.span
