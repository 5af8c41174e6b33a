"""Where the pages are: the groups of the sidebar, in the order of the model, and which page belongs to which entry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from subsystems.kernel.words import Subsystem
from subsystems.recursion.queries import ROOT_SLUG
from vsm_site.dashboard.places import Place
from vsm_site.dashboard.words import TITLES

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


@dataclass(frozen=True)
class Entry:
    """One line of the sidebar: the page *name*, and the pages (names with blanks between) that it stands for."""

    name: str
    label: StrOrPromise
    icon: str
    covers: str = ""
    root_only: bool = False
    counted: str = ""  # what the live connection counts beside it
    key: str = ""  # leads there after a `g`

    @property
    def href(self) -> str:
        """Return the address of the page, without the system."""
        return reverse(f"dashboard:{self.name}")


@dataclass(frozen=True)
class Group:
    """Entries under one heading; *subsystem* is the part of the model they belong to."""

    title: StrOrPromise
    entries: tuple[Entry, ...]
    subsystem: str = ""

    @property
    def href(self) -> str:
        """Return the address of the subsystem's own page; empty for a group that is none."""
        return reverse("dashboard:system", args=[self.subsystem]) if self.subsystem else ""


def _of(subsystem: Subsystem, *entries: Entry) -> Group:
    return Group(TITLES[subsystem], entries, str(subsystem))


GROUPS = (
    Group(
        _("Now"),
        (
            Entry("overview", _("Overview"), "layout-dashboard", "system", key="o"),
            Entry("model", _("Model"), "waypoints", key="m"),
            Entry("signals", _("Signals"), "zap", "signal signal-add lane", counted="signals", key="s"),
            Entry("alerts", _("Alerts"), "bell", "alert", counted="alerts", key="a"),
            Entry("explore", _("Explore"), "chart-line", key="x"),
            Entry("views", _("Saved views"), "bookmark", key="d"),
            Entry("inbox", _("Inbox"), "inbox", "recommendation", key="i"),
        ),
    ),
    _of(
        Subsystem.S1,
        Entry(
            "fleets", _("Fleets"), "server", "unit-add unit-steer fleet-steer fleet-act fleet-history-rules", key="f"
        ),
        Entry("units", _("Units"), "list-checks", "unit", key="u"),
        Entry("workers", _("Workers"), "cpu", key="w"),
        Entry("queues", _("Queues"), "layers", key="q"),
        Entry(
            "tasks",
            _("Tasks"),
            "list-checks",
            "task task-exceptions task-latencies task-lost task-offers task-trigger runs",
            key="t",
        ),
        Entry("schedules", _("Schedules"), "calendar-clock", "schedule schedule-pause", root_only=True, key="h"),
    ),
    _of(
        Subsystem.S2,
        Entry("coordination", _("Oscillations"), "waves", key="c"),
        Entry("variety", _("Variety"), "scale", key="v"),
    ),
    _of(
        Subsystem.S3,
        Entry("scaling", _("Scaling"), "maximize-2", "scaling-policy", key="l"),
        Entry("launchers", _("Launchers"), "play", "launcher"),
        Entry("webhooks", _("Webhooks"), "waypoints", "webhook"),
        Entry("bargains", _("Bargains"), "handshake", "bargain-ask bargain-pool bargain-unit"),
        Entry("actions", _("Actions"), "history", "action", key="n"),
        Entry("audit", _("Audit"), "shield-check"),
    ),
    _of(
        Subsystem.S4,
        Entry("intelligence", _("Outlook"), "binoculars", key="k"),
        Entry(
            "patterns",
            _("Patterns"),
            "puzzle",
            "pattern pattern-add pattern-detections pattern-detection pattern-rehearsal-stop",
        ),
    ),
    _of(
        Subsystem.S5,
        Entry(
            "policy",
            _("Policies"),
            "gavel",
            "policy-kind policy-named policy-add policy-act emergencies goals identity decisions decision",
            key="p",
        ),
        Entry("scores", _("Scores"), "gauge"),
    ),
    Group(
        _("Alerting"),
        (
            Entry("rules", _("Rules"), "ruler", "rule rule-add noise alert-statistics", key="r"),
            Entry("checks", _("Checks"), "heart-pulse", "check", key="b"),
            Entry(
                "notifications",
                _("Notifications"),
                "send",
                "notification silences maintenance-windows maintenance-window calendar targets target target-add",
            ),
            Entry(
                "on-call",
                _("On call"),
                "phone-call",
                "escalations on-call-rota on-call-rota-add on-call-team on-call-team-add on-call-policy"
                " on-call-policy-add contact contact-method contact-method-add",
            ),
        ),
    ),
    Group(
        _("Record"),
        (
            Entry("events", _("Events"), "scroll-text", "event journey chain verify dead-letters message", key="e"),
            Entry("configuration", _("Configuration"), "layers", root_only=True),
        ),
    ),
)

SECTIONS = {
    name: entry.name for group in GROUPS for entry in group.entries for name in (entry.name, *entry.covers.split())
}


# Pages that the sidebar has no entry for: they are reached through another, or found by their name.
MORE = (
    ("lane", _("Algedonic lane"), _("Signals")),
    ("task-exceptions", _("Task failures by kind"), _("Tasks")),
    ("task-latencies", _("Task latencies"), _("Tasks")),
    ("task-lost", _("Lost tasks"), _("Tasks")),
    ("task-offers", _("Trigger tasks"), _("Tasks")),
    ("pattern-detections", _("Pattern detections"), _("Patterns")),
    ("goals", _("Goals"), _("Policies")),
    ("identity", _("Identity"), _("Policies")),
    ("decisions", _("Decisions"), _("Policies")),
    ("emergencies", _("Emergencies"), _("Policies")),
    ("noise", _("Noise of rules"), _("Rules")),
    ("alert-statistics", _("Alert statistics"), _("Rules")),
    ("silences", _("Silences"), _("Notifications")),
    ("maintenance-windows", _("Maintenance windows"), _("Notifications")),
    ("calendar", _("Calendar of what is quiet"), _("Notifications")),
    ("targets", _("Notification targets"), _("Notifications")),
    ("escalations", _("Escalations"), _("On call")),
    ("contact", _("How I am reached"), _("On call")),
    ("preferences", _("Preferences"), ""),
    ("dead-letters", _("Dead letters"), _("Events")),
)


def named_pages(place: Place) -> Iterator[tuple[str, str, str]]:
    """Give every page that has a name: the name, what it belongs to, and its address without the system."""
    for group, entries in groups_for(place):
        if group.href:
            yield f"{group.subsystem.upper()} {group.title}", "", group.href
        for entry in entries:
            yield str(entry.label), str(group.title), entry.href
    for name, label, under in MORE:
        yield str(label), str(under), reverse(f"dashboard:{name}")


def groups_for(place: Place) -> list[tuple[Group, list[Entry]]]:
    """Return the groups with the entries that the system of *place* has."""
    root = place.system.slug == ROOT_SLUG
    return [(group, [entry for entry in group.entries if root or not entry.root_only]) for group in GROUPS]
