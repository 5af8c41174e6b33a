"""One search over what a person may open: pages, units, queues, fleets, tasks, rules, alerts, policies and records.

Names are searched by any part of them, ids by their beginning. The number of queries is fixed and none reads more than
an index gives it or `NEWEST_ALERTS` rows: there may be 10,000 units and 1,000,000 tasks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.models import User
from django.db.models import Case, Q, QuerySet, Value, When
from django.db.models.functions import Length
from django.urls import reverse

from alerts.models import Alert, AlertRule
from subsystems.algedonic.models import Signal
from subsystems.fleets.models import Task, TaskCount
from subsystems.fleets.task_counts import OTHERS, RUNTIME
from subsystems.s1_operations.models import Fleet, Unit
from subsystems.s5_policy.models import Policy
from vsm_site.dashboard import journeys, saved_views
from vsm_site.dashboard.navigation import named_pages
from vsm_site.dashboard.places import Place
from vsm_site.dashboard.reach import Reach

SHOWN = 8  # of each group
NEWEST_ALERTS = 2_000  # among which alerts are looked for: the record of them has no end
LEAST_OF_ID = 4  # characters: fewer begin too many
LONGEST = 100
_ID = re.compile(r"[\w.:-]+\Z")
_SIGNAL = re.compile(r"[0-9A-Fa-f]{32}\Z")
_QUEUE = "celery_queue"
MISS = 9
UNUSUAL = {state: str(state) for state in (Unit.State.NEW, Unit.State.SILENT, Unit.State.PAUSED)}


@dataclass(frozen=True)
class Hit:
    """One thing that was found: what it is called, where it is, and a word that tells it from its like."""

    label: str
    href: str
    note: str = ""


@dataclass(frozen=True)
class Group:
    """What was found of one sort, the best first."""

    title: str
    icon: str
    hits: list[Hit] = field(default_factory=list)

    def to_wire(self) -> dict[str, Any]:
        hits = [{"label": hit.label, "href": hit.href, "note": hit.note} for hit in self.hits]
        return {"title": self.title, "icon": self.icon, "hits": hits}


def search(text: str, place: Place, within: Reach, user: User) -> list[Group]:
    """Return what *text* finds of what *within* reaches, group by group, empty groups left out."""
    wanted = " ".join(text.replace("\0", "").split())[:LONGEST]
    if not wanted:
        return []
    finder = _Finder(wanted, place, within, user)
    return [group for group in finder.groups() if group.hits]


class _Finder:
    """The queries of one search."""

    def __init__(self, text: str, place: Place, within: Reach, user: User) -> None:
        self.user = user
        self.text, self.place, self.within = text, place, within
        self.slugs = {system.pk: system.slug for system in place.systems}
        self.names = {system.pk: system.name for system in place.systems}
        self.fleets = {fleet.pk: fleet for fleet in Fleet.objects.filter(self._mine())}

    def groups(self) -> Iterator[Group]:
        yield Group("Pages", "layout-dashboard", self._pages())
        yield Group("Saved views", "bookmark", self._views())
        units = Unit.objects.filter(self._mine()).exclude(state=Unit.State.GONE)
        yield Group("Units", "server", self._units(units.exclude(kind=_QUEUE)))
        yield Group("Queues", "layers", self._units(units.filter(kind=_QUEUE)))
        yield Group("Fleets", "server", self._fleets())
        yield Group("Tasks by name", "list-checks", self._task_names())
        yield Group("Tasks by id", "list-checks", self._task_ids())
        yield Group("Rules", "ruler", self._rules())
        yield Group("Alerts", "bell", self._alerts())
        yield Group("Policies", "gavel", self._policies())
        yield Group("Events", "scroll-text", self._events())
        yield Group("Signals", "zap", self._signals())

    def _pages(self) -> list[Hit]:
        found = [
            (rank, len(label), Hit(label, f"{href}{self.place.query}", note))
            for label, note, href in named_pages(self.place)
            if (rank := min(_rank(label, self.text), 3 + _rank(note, self.text))) < MISS  # its group counts for less
        ]
        return [hit for _, _, hit in sorted(found, key=lambda each: each[:2])[:SHOWN]]

    def _views(self) -> list[Hit]:
        rows = self._best(saved_views.visible(self.user, self.place.systems), "name")
        return [
            Hit(
                view.name,
                saved_views.address(view, with_system=len(self.slugs) > 1),
                self._note("" if view.owner_id == self.user.pk else view.owner.get_username(), system=view.system_id),
            )
            for view in rows
        ]

    def _units(self, units: QuerySet[Unit]) -> list[Hit]:
        rows = self._best(units, "name").values_list("pk", "name", "kind", "state", "system_id")
        return [
            Hit(name, self._link("unit", pk, system), self._note(_words(kind), UNUSUAL.get(state, ""), system=system))
            for pk, name, kind, state, system in rows
        ]

    def _fleets(self) -> list[Hit]:
        ranked = sorted((_rank(fleet.name, self.text), fleet.name, fleet.system_id) for fleet in self.fleets.values())
        return [
            Hit(name, self._link("fleets", None, system), self._note(system=system))
            for rank, name, system in ranked[:SHOWN]
            if rank < MISS
        ]

    def _task_names(self) -> list[Hit]:
        """Names come from the counts of each kind, which are few, not from the history, which is long."""
        counts = TaskCount.objects.filter(fleet__in=self.fleets, event__lt=RUNTIME).exclude(name=OTHERS)
        rows = self._best(counts.values("name", "fleet__system_id").distinct(), "name", tie=("fleet__system_id",))
        return [
            Hit(row["name"], self._link("tasks", None, system, name=row["name"]), self._note(system=system))
            for row in rows
            for system in [row["fleet__system_id"]]
        ]

    def _task_ids(self) -> list[Hit]:
        if len(self.text) < LEAST_OF_ID or not _ID.match(self.text):
            return []
        # A range, which both databases walk along the index; LIKE would read it all.
        rows = Task.objects.filter(fleet__in=self.fleets, uuid__gte=self.text, uuid__lt=f"{self.text}zzzz")
        found = rows.order_by().only("uuid", "name", "state", "fleet_id")[:SHOWN]
        return [
            Hit(
                task.name or "(name not heard)",
                self._link("task", task.pk, self.fleets[task.fleet_id].system_id),
                f"{task.uuid}, {Task.State(task.state).name.lower()}",
            )
            for task in found
            if task.uuid.startswith(self.text)
        ]

    def _rules(self) -> list[Hit]:
        rows = self._best(AlertRule.objects.filter(self._mine()), "name")
        return [
            Hit(
                rule.name,
                self._link("rule", rule.pk, rule.system_id),
                self._note("" if rule.enabled else "switched off", system=rule.system_id),
            )
            for rule in rows.only("name", "enabled", "system_id")
        ]

    def _alerts(self) -> list[Hit]:
        newest = Alert.objects.filter(self._mine()).order_by("-pk").values("pk")[:NEWEST_ALERTS]
        fits = Q(title__icontains=self.text) | Q(subject__icontains=self.text)
        over = Case(When(state=Alert.State.RESOLVED, then=Value(1)), default=Value(0))
        rows = Alert.objects.filter(fits, pk__in=newest).order_by(over, "-pk")[:SHOWN]
        found = rows.values_list("pk", "title", "subject", "state", "system_id")
        return [
            Hit(title, self._link("alert", pk, system), self._note(subject, _words(state), system=system))
            for pk, title, subject, state, system in found
        ]

    def _policies(self) -> list[Hit]:
        rows = Policy.objects.filter(self._mine()).filter(Q(name__icontains=self.text) | Q(kind__icontains=self.text))
        found = rows.order_by("kind", "name").values_list("pk", "kind", "name", "system_id")[:SHOWN]
        return [
            Hit(name or kind, self._link("policy-named", pk, system), self._note(kind if name else "", system=system))
            for pk, kind, name, system in found
        ]

    def _events(self) -> list[Hit]:
        position = self.text.removeprefix("#")
        if not (position.isascii() and position.isdigit()) or not 0 < int(position) < 1 << 63:
            return []
        events = journeys.visible_events(self.within).filter(pk=int(position))
        return [
            Hit(f"Event {event.pk}", self._link("event", event.pk, self.place.system.pk), event.type)
            for event in events
        ]

    def _signals(self) -> list[Hit]:
        if not _SIGNAL.match(self.text):
            return []
        found = Signal.objects.filter(self._mine(), pk=self.text.upper())
        return [
            Hit(f"{signal.severity} {signal.type}", self._link("signal", signal.pk, signal.system_id), signal.source)
            for signal in found
        ]

    def _mine(self) -> Q:
        return Q(system_id__in=self.slugs)

    def _link(self, page: str, key: object | None, system: int, **parameters: str) -> str:
        if len(self.slugs) > 1:
            parameters = {"system": self.slugs[system], **parameters}
        path = reverse(f"dashboard:{page}", args=[] if key is None else [key])
        return f"{path}?{urlencode(parameters)}" if parameters else path

    def _note(self, *words: str, system: int) -> str:
        elsewhere = self.names[system] if system != self.place.system.pk else ""
        return ", ".join(filter(None, [*words, elsewhere]))

    def _best(self, rows: QuerySet[Any], name: str, tie: Iterable[str] = ("pk",)) -> QuerySet[Any]:
        """Return the rows whose *name* holds the text: the same, then those that begin with it, then the shortest."""
        rank = Case(
            When(**{f"{name}__iexact": self.text}, then=Value(0)),
            When(**{f"{name}__istartswith": self.text}, then=Value(1)),
            default=Value(2),
        )
        found = rows.filter(**{f"{name}__icontains": self.text}).annotate(rank=rank, size=Length(name))
        best: QuerySet[Any] = found.order_by("rank", "size", name, *tie)[:SHOWN]
        return best


def _rank(name: str, text: str) -> int:
    """Return 0 for the same name, 1 for one that begins with *text*, 2 for one that holds it, else MISS."""
    name, text = name.casefold(), text.casefold()
    return 0 if name == text else 1 if name.startswith(text) else 2 if text in name else MISS


def _words(name: str) -> str:
    return name.replace("_", " ")
