"""The monitors of S5: policy, identity and where the system goes."""

from __future__ import annotations

from subsystems.s5_policy import queries as policy
from subsystems.s5_policy.models import Decision, Emergency, PolicyVersion
from vsm_site.dashboard.monitors.base import DAY, SHOWN, WEEK, Asked, Monitors, Need, Panel, Row, harm, number, scored


def monitors(asked: Asked) -> Monitors:
    """Return the three panels, and what needs attention."""
    open_ = Decision.objects.filter(system=asked.system, answered_at=None).order_by("due_at")
    emergency = Emergency.objects.filter(system=asked.system, ended_at=None).first()
    needs = [] if emergency is None else [Need("critical", "The whole is in an emergency", "emergencies")]
    needs += [
        Need(
            "critical" if row.due_at < asked.now else "warning",
            f"{'Overdue' if row.due_at < asked.now else 'Decide'}: {row.title or 'an alert asks'}",
            "decision",
            row.pk,
        )
        for row in open_[:SHOWN]
    ]
    return [_policies(asked, open_.count()), _identity(asked), _planner(asked)], needs


def _policies(asked: Asked, waiting: int) -> Panel:
    answers = policy.answer_counts(asked.system, since=asked.now - DAY, now=asked.now)
    changed = PolicyVersion.objects.filter(policy__system=asked.system, made_at__gte=asked.now - WEEK)
    newest = changed.select_related("policy").order_by("-made_at").first()
    emergencies = Emergency.objects.filter(system=asked.system, began_at__gte=asked.now - WEEK).count()
    rate = answers["in_time"] / answers["settled"] if answers["settled"] else None
    return Panel(
        "Policy monitor",
        "What is in force, and whether S5 answers in time",
        "policy",
        [
            Row("Policies in force", number(policy.in_force(asked.system, now=asked.now).count())),
            Row(
                "Changed in a week",
                number(changed.count()),
                note="" if newest is None else f"last: {newest.policy.kind} by {newest.author}",
            ),
            Row("Decisions waiting", number(waiting), harm(waiting)),
            scored("Answered in time", rate, f"of {answers['settled']} of the last day"),
            Row("Emergencies of a week", number(emergencies), harm(emergencies)),
        ],
    )


def _identity(asked: Asked) -> Panel:
    told = policy.identity_body(asked.system, now=asked.now)
    rows = [
        scored(
            "Alignment",
            told["alignment"],
            "" if told["alignment"] is not None else "no value is declared or nothing to hold against it",
        ),
        Row("Policies and decisions", number(told["items"])),
        Row("That serve a declared value", number(told["tagged"])),
        Row("Judged by a person", number(told["judged"])),
    ]
    rows += [
        Row(f"Value: {each['name']}", number(each.get("weight")), note="its weight") for each in told["values"][:SHOWN]
    ]
    return Panel("Identity manager", "What the system stands for, and how much serves it", "identity", rows)


def _planner(asked: Asked) -> Panel:
    told = policy.goals_body(asked.system, now=asked.now)
    counts = policy.decision_counts(asked.system, now=asked.now)
    quality = counts["met"] / counts["reviewed"] if counts["reviewed"] else None
    rows = [scored("Progress of all goals", told["progress"], "" if told["goals"] else "no goal is set")]
    rows += [
        scored(each["name"], each["progress"], "" if each["value"] is not None else "its value is not known")
        for each in told["goals"][:SHOWN]
    ]
    rows += [
        scored("Decisions that met their criterion", quality, f"of {counts['reviewed']} reviewed in 90 days"),
        Row(
            "Due for review",
            number(max(0, counts["due"] - counts["reviewed"])),
            harm(max(0, counts["due"] - counts["reviewed"])),
        ),
    ]
    return Panel("Strategic planner", "Where it goes, and whether decisions were good", "goals", rows)
