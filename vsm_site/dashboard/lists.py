"""The tables of the big lists: their columns, and by which of them the database can sort."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from vsm_site.dashboard.tables import DOWN, Column, Table

UNITS = Table(
    "units",
    (
        Column("name", _("Unit"), ("name",), fixed=True),
        Column("kind", _("Type"), ("kind", "name")),
        Column("health", _("Health"), ("score",), nullable=True),
        Column("state", _("State"), ("state", "name")),
        Column("fleet", _("Fleet"), ("fleet__name",), nullable=True),
        Column("seen", _("Last seen"), ("last_seen_at",), nullable=True),
        Column("error", _("Last error"), usual=False),
        Column("since", _("Watched since"), ("created_at",), usual=False),
    ),
    usual="name",
)
LIVE_UNITS = Table(  # on the overview: live, the worst in sight first
    "live-units",
    (
        Column("name", _("Unit"), fixed=True),
        Column("health", _("Health")),
        Column("now", _("Now")),
        Column("spark", _("15 minutes"), css="spark-head"),
        Column("seen", _("Last seen")),
    ),
)
TASKS = Table(  # indexes task_by_time and task_by_runtime, read downwards by the cursor
    "tasks",
    (
        Column("seen", _("Seen"), ("seen_at",), DOWN),
        Column("task", _("Task"), fixed=True),
        Column("state", _("State")),
        Column("fleet", _("Fleet")),
        Column("queue", _("Queue")),
        Column("worker", _("Worker")),
        Column("waited", _("Waited"), css="number"),
        Column("ran", _("Ran"), ("runtime_seconds",), DOWN, css="number"),
        Column("id", _("Id"), usual=False),
    ),
    usual="-seen",
)
ALERTS = Table(  # the usual order is that of urgency; index alert_of_system
    "alerts",
    (
        Column("alert", _("Alert"), fixed=True),
        Column("state", _("State")),
        Column("since", _("Since"), ("pending_at",)),
        Column("until", _("Until")),
        Column("rule", _("Rule"), usual=False),
    ),
)
RULES = Table(
    "rules",
    (
        Column("rule", _("Rule"), ("name",), fixed=True),
        Column("when", _("Fires when"), ("metric",)),
        Column("of", _("Of"), ("unit_kind",)),
        Column("severity", _("Severity"), ("severity", "name")),
        Column("state", _("State"), ("enabled", "name")),
        Column("changed", _("Version"), ("version",), usual=False, css="number"),
    ),
    usual="rule",
)
EVENTS = Table(  # by position alone, which is how the log is read
    "events",
    (
        Column("position", _("Position"), fixed=True, css="number"),
        Column("at", _("At")),
        Column("event", _("Event"), fixed=True),
        Column("system", _("System")),
        Column("by", _("By")),
        Column("correlation", _("Correlation id"), usual=False),
    ),
)
SIGNALS = Table(  # index signal_of_system
    "signals",
    (
        Column("signal", _("Signal"), fixed=True),
        Column("state", _("State")),
        Column("system", _("System")),
        Column("raised", _("Raised"), ("raised_at",)),
        Column("ended", _("Ended")),
    ),
    usual="-raised",
)
CHECKS = Table(  # the usual order is that of urgency
    "checks",
    (
        Column("check", _("Check"), ("name",), fixed=True),
        Column("state", _("State")),
        Column("when", _("When")),
        Column("pinged", _("Last ping"), ("pinged_at",), nullable=True),
        Column("next", _("Next expected"), ("expected_at",), nullable=True),
        Column("heard", _("Heard lately")),
    ),
)
SILENCES = Table(
    "silences",
    (
        Column("hides", _("Hides"), fixed=True),
        Column("why", _("Why")),
        Column("state", _("State")),
        Column("until", _("Until"), ("ends_at",)),
    ),
    usual="-until",
)
ACTIONS = Table(  # index action_of_system
    "actions",
    (
        Column("at", _("At"), ("requested_at",), fixed=True),
        Column("what", _("What"), fixed=True),
        Column("by", _("By")),
        Column("state", _("State")),
        Column("done", _("Done"), css="number"),
        Column("finished", _("Ended"), usual=False),
    ),
    usual="-at",
)
TABLES = {
    table.name: table for table in (UNITS, LIVE_UNITS, TASKS, ALERTS, RULES, EVENTS, SIGNALS, CHECKS, SILENCES, ACTIONS)
}
