"""Which receivers an alert goes to and how it is grouped for them: Alertmanager's tree of routes, with its defaults."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from alerts.notices.durations import duration_text, read_duration
from alerts.notices.inhibition import Inhibition, read_inhibitions
from alerts.notices.matchers import Matcher, all_match, read_matchers, text_of
from subsystems.kernel.errors import Invalid

GROUP_WAIT, GROUP_INTERVAL, REPEAT_INTERVAL = 30.0, 300.0, 4 * 3600.0
SHORTEST_INTERVAL = 0.1
MAX_DEPTH, MAX_ROUTES, MAX_RECEIVERS, MAX_LABELS = 10, 300, 200, 30
EVERYONE = "everyone"  # the receiver that is all enabled targets, where nobody wrote a document
ROUTE_FIELDS = {
    "receiver", "group_by", "group_wait", "group_interval", "repeat_interval", "matchers", "continue", "routes",
}  # fmt: skip
# What holds until somebody writes something else. Critical does not wait for company: it is only grouped.
DEFAULT = {
    "route": {
        "receiver": EVERYONE,
        "group_by": ["alertname", "system"],
        "routes": [{"matchers": ['severity="critical"'], "group_wait": "0s"}],
    },
    "inhibit_rules": [],
    "inhibit_children": True,
    "receivers": [],
}


@dataclass(frozen=True, slots=True)
class Route:
    """One node of the tree, with everything that it inherits filled in."""

    key: str
    receiver: str
    group_by: tuple[str, ...] | None  # None: by all labels, which is no grouping
    group_wait: float
    group_interval: float
    repeat_interval: float
    matchers: tuple[Matcher, ...] = ()
    goes_on: bool = False  # Alertmanager's `continue`: siblings below are looked at, too
    routes: tuple[Route, ...] = ()

    def match(self, labels: Mapping[str, str]) -> list[Route]:
        """Return the deepest routes that *labels* take; this one itself where no child takes them."""
        if not all_match(self.matchers, labels):
            return []
        found: list[Route] = []
        for child in self.routes:
            taken = child.match(labels)
            found += taken
            if taken and not child.goes_on:
                break
        return found or [self]

    def group_labels(self, labels: Mapping[str, str]) -> dict[str, str]:
        """Return the labels that an alert's group is known by; one that the alert lacks is left out."""
        names = labels if self.group_by is None else [name for name in self.group_by if name in labels]
        return {name: labels[name] for name in sorted(names)}


@dataclass(frozen=True, slots=True)
class Receiver:
    """A name for the targets that are told together."""

    name: str
    targets: tuple[str, ...]
    send_resolved: bool = True
    escalation: str = ""  # the name of a policy


@dataclass(frozen=True, slots=True)
class Routing:
    """All that a system says about who is told of what."""

    route: Route
    receivers: Mapping[str, Receiver] = field(default_factory=dict)
    inhibitions: tuple[Inhibition, ...] = ()
    inhibit_children: bool = True

    def escalation_names(self) -> set[str]:
        """Return every escalation policy that a receiver names."""
        return {receiver.escalation for receiver in self.receivers.values() if receiver.escalation}

    def target_names(self) -> set[str]:
        """Return every target that a receiver names."""
        return {target for receiver in self.receivers.values() for target in receiver.targets}


def read_routing(document: object) -> Routing:
    """Read a document of routes, receivers and inhibitions. Raises Invalid naming the place."""
    given = _mapping(document, "document", {"route", "receivers", "inhibit_rules", "inhibit_children"})
    receivers = _read_receivers(given.get("receivers", []))
    if "route" not in given:
        raise Invalid("There must be a route.", field="route")
    children = given.get("inhibit_children", True)
    if not isinstance(children, bool):
        raise Invalid("This is true or false.", field="inhibit_children")
    routing = Routing(_read_root(given["route"]), receivers, read_inhibitions(given.get("inhibit_rules", [])), children)
    for route in walk(routing.route):
        if route.receiver not in receivers and route.receiver != EVERYONE:
            raise Invalid(f"There is no receiver {route.receiver!r}.", field="route")
    return routing


def walk(route: Route) -> Iterator[Route]:
    """Yield *route* and every one below it."""
    yield route
    for child in route.routes:
        yield from walk(child)


def _read_root(given: object) -> Route:
    root = _mapping(given, "route", ROUTE_FIELDS)
    if root.get("matchers"):
        raise Invalid("The first route takes every alert: it has no matchers.", field="route.matchers")
    if not root.get("receiver"):
        raise Invalid("The first route names a receiver.", field="route.receiver")
    top = Route("", "", (), GROUP_WAIT, GROUP_INTERVAL, REPEAT_INTERVAL)
    counted = _Counter()
    return _read_route(root, top, "route", 1, counted.one_more)


class _Counter:
    def __init__(self) -> None:
        self.count = 0

    def one_more(self) -> None:
        self.count += 1
        if self.count > MAX_ROUTES:
            raise Invalid(f"At most {MAX_ROUTES} routes.", field="route")


def _read_route(given: object, above: Route, place: str, depth: int, count: Callable[[], None]) -> Route:
    count()
    if depth > MAX_DEPTH:
        raise Invalid(f"At most {MAX_DEPTH} levels.", field=place)
    node = _mapping(given, place, ROUTE_FIELDS)
    matchers = read_matchers(node.get("matchers", []), f"{place}.matchers")
    goes_on = node.get("continue", False)
    if not isinstance(goes_on, bool):
        raise Invalid("This is true or false.", field=f"{place}.continue")
    route = replace(
        above,
        key=f"{above.key}/{{{text_of(matchers)}}}",
        receiver=_text(node.get("receiver", above.receiver), f"{place}.receiver"),
        group_by=_group_by(node["group_by"], f"{place}.group_by") if "group_by" in node else above.group_by,
        group_wait=_seconds(node, "group_wait", above.group_wait, place),
        group_interval=_seconds(node, "group_interval", above.group_interval, place, SHORTEST_INTERVAL),
        repeat_interval=_seconds(node, "repeat_interval", above.repeat_interval, place, SHORTEST_INTERVAL),
        matchers=matchers,
        goes_on=goes_on,
        routes=(),
    )
    children = _list(node.get("routes", []), f"{place}.routes", MAX_ROUTES)
    below = [_read_route(each, route, f"{place}.routes[{n}]", depth + 1, count) for n, each in enumerate(children)]
    return replace(route, routes=tuple(_told_apart(below)))


def _told_apart(routes: Sequence[Route]) -> Iterator[Route]:
    """Give siblings with the same matchers keys of their own, or their groups would be one."""
    seen: dict[str, int] = {}
    for route in routes:
        number = seen[route.key] = seen.get(route.key, 0) + 1
        yield route if number == 1 else _moved(route, route.key, f"{route.key}#{number}")


def _moved(route: Route, before: str, after: str) -> Route:
    below = tuple(_moved(child, before, after) for child in route.routes)
    return replace(route, key=after + route.key[len(before) :], routes=below)


def _read_receivers(given: object) -> dict[str, Receiver]:
    found: dict[str, Receiver] = {}
    for number, each in enumerate(_list(given, "receivers", MAX_RECEIVERS)):
        place = f"receivers[{number}]"
        node = _mapping(each, place, {"name", "targets", "send_resolved", "escalation"})
        name = _text(node.get("name"), f"{place}.name")
        targets = _list(node.get("targets", []), f"{place}.targets", 50)
        resolved = node.get("send_resolved", True)
        if not isinstance(resolved, bool):
            raise Invalid("This is true or false.", field=f"{place}.send_resolved")
        if name in found or name == EVERYONE:
            raise Invalid(f"The name {name!r} is taken.", field=f"{place}.name")
        named = tuple(_text(each, f"{place}.targets") for each in targets)
        escalation = _text(node["escalation"], f"{place}.escalation") if "escalation" in node else ""
        found[name] = Receiver(name, named, resolved, escalation)
    return found


def _group_by(given: object, place: str) -> tuple[str, ...] | None:
    names = [_text(each, place) for each in _list(given, place, MAX_LABELS)]
    if "..." in names:
        if len(names) > 1:
            raise Invalid('"..." means all labels and stands alone.', field=place)
        return None
    if len(set(names)) < len(names):
        raise Invalid("A label is named twice.", field=place)
    return tuple(names)


def _seconds(node: Mapping[str, Any], name: str, above: float, place: str, least: float = 0.0) -> float:
    if name not in node:
        return above
    seconds = read_duration(node[name], f"{place}.{name}")
    if seconds < least:
        raise Invalid(f"At least {duration_text(least)}.", field=f"{place}.{name}")
    return seconds


def _mapping(given: object, place: str, known: set[str]) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise Invalid("This is an object.", field=place)
    for name in given:
        if name not in known:
            raise Invalid(f"There is no {name!r} here; there are {', '.join(sorted(known))}.", field=place)
    return given


def _list(given: object, place: str, most: int) -> Sequence[Any]:
    if not isinstance(given, list | tuple):
        raise Invalid("This is a list.", field=place)
    if len(given) > most:
        raise Invalid(f"At most {most}.", field=place)
    return given


def _text(given: object, place: str) -> str:
    if not isinstance(given, str) or not given.strip() or len(given) > 120 or "\0" in given:
        raise Invalid("This is a text of 1 to 120 characters.", field=place)
    return given
