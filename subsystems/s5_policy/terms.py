"""What each kind of policy consists of, and what of it can be: the one place that forms, the API and versions ask.

A policy is a set of named fields. What is documented is the default; a field that was never set has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from subsystems.kernel.errors import Invalid, NotListed
from subsystems.kernel.texts import gettext_noop as _
from subsystems.s5_policy import handed
from subsystems.s5_policy.term import Fields, Term


class Kind(StrEnum):
    """What there are policies about. A system has one of each, of acting one for each kind of act, of goals and values
    as many as it likes."""

    VIABILITY = "viability"
    ALERTS = "alerts"
    EMERGENCY = "emergency"
    ACTING = "acting"
    DAMPING = "damping"
    VARIETY = "variety"
    GOAL = "goal"
    VALUE = "value"


class Mode(StrEnum):
    """What S5 does by itself when a system is unhealthy (requirements 2-53)."""

    OFF = "off"
    ADVISE = "advise"
    ACT = "act"


class Source(StrEnum):
    """Where a goal's value comes from."""

    METRIC = "metric"
    PERSON = "person"


AGGREGATIONS = ("avg", "min", "max", "sum", "last")
YEAR = 366 * 86_400


@dataclass(frozen=True, slots=True)
class Terms:
    """All fields of a kind, and what must hold between them."""

    kind: Kind
    title: str
    help: str
    terms: tuple[Term, ...]
    check: Callable[[Mapping[str, Any]], None]
    many: bool = False

    @property
    def defaults(self) -> Fields:
        return {term.name: term.default for term in self.terms}

    def complete(self, given: Mapping[str, Any], before: Mapping[str, Any]) -> Fields:
        """Return every field: as *given*, else as *before*, else as documented. Raises Invalid naming the field."""
        known = {term.name: term for term in self.terms}
        for name in given:
            if name not in known:
                raise Invalid(f"A policy of this kind has no field {name!r:.60}.", field=str(name)[:60])
        fields = {**self.defaults, **{name: value for name, value in before.items() if name in known}}
        fields |= {name: known[name].read(value) for name, value in given.items()}
        for term in self.terms:
            if term.required and fields[term.name] in ("", None):
                raise Invalid("This is needed.", field=term.name, code="required")
        self.check(fields)
        return fields


def terms_of(kind: str) -> Terms:
    """Return what a kind consists of. Raises NotListed."""
    try:
        return TERMS[Kind(kind)]
    except ValueError:
        raise NotListed(f"There are no policies of the kind {kind!r:.40}.", field="kind") from None


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return what differs, by name: what it was and what it is."""
    names = dict.fromkeys([*before, *after])
    return {name: [before.get(name), after.get(name)] for name in names if before.get(name) != after.get(name)}


def _check_viability(fields: Mapping[str, Any]) -> None:
    if fields["critical_threshold"] > fields["viability_threshold"]:
        raise Invalid("Not above the threshold of a warning.", field="critical_threshold")
    if not any(fields[f"weight_s{number}"] for number in range(1, 6)):
        raise Invalid("At least one of the five must weigh something.", field="weight_s1")


def _check_goal(fields: Mapping[str, Any]) -> None:
    if fields["source"] == Source.METRIC and not fields["metric"]:
        raise Invalid("Name the metric whose value it is.", field="metric", code="required")
    if fields["target"] == fields["baseline"]:
        raise Invalid("Not the baseline: there would be nothing to reach.", field="target")


def _check_emergency(fields: Mapping[str, Any]) -> None:
    if fields["mode"] == Mode.ACT and not fields["plan"]:
        raise Invalid("Say which acts: without them there is nothing to do.", field="plan", code="required")


def _anything(fields: Mapping[str, Any]) -> None:
    """Every field may stand beside every other."""


def _share(name: str, label: str, default: float, help_: str = "") -> Term:
    return Term(name, label, "number", default, 0.0, 1.0, help=help_)


def _weight() -> Term:
    return Term("weight", _("Weight"), "number", 1.0, 0.0, 1000.0, help=_("Beside the others"))


_ACTIVE = Term("active", _("In force"), "flag", True, help=_("Without it, it is kept and counts no more"))
TERMS: Mapping[Kind, Terms] = {
    Kind.VIABILITY: Terms(
        Kind.VIABILITY,
        _("Viability"),
        _("What the five subsystems weigh, and when viability is a warning or critical."),
        (
            _share("viability_threshold", _("Warning below"), 0.7),
            _share("critical_threshold", _("Critical below"), 0.5),
            _share("weight_s1", _("Weight of S1 Operations"), 0.3),
            _share("weight_s2", _("Weight of S2 Coordination"), 0.1),
            _share("weight_s3", _("Weight of S3 Control"), 0.2),
            _share("weight_s4", _("Weight of S4 Intelligence"), 0.2),
            _share("weight_s5", _("Weight of S5 Policy"), 0.2),
        ),
        _check_viability,
    ),
    Kind.ALERTS: Terms(
        Kind.ALERTS,
        _("Alerts"),
        _("How much alerting is tolerated, and how soon an answer is expected."),
        (
            Term("max_alerts_per_hour", _("Alerts told in an hour, at most"), "whole", 20, 0, 100_000,
                 help=_("Critical ones are always told")),
            Term("answer_critical_within_seconds", _("Answer to a critical alert within (seconds)"), "whole", 300, 1,
                 YEAR),
            Term("answer_warning_within_seconds", _("Answer to a warning within (seconds)"), "whole", 1800, 1, YEAR),
        ),
        _anything,
    ),
    Kind.EMERGENCY: Terms(
        Kind.EMERGENCY,
        _("Emergency response"),
        _("What S5 does by itself when the health of the whole system is unhealthy."),
        (
            Term("mode", _("Response"), "choice", Mode.ADVISE, choices=tuple(Mode),
                 help=_("off: nothing. advise: a checklist. act: its acts go to S3 as well, which does what it may")),
            Term("after_seconds", _("Only when it has lasted (seconds)"), "whole", 0, 0, 86_400),
            Term("repeat_seconds", _("No second response within (seconds)"), "whole", 900, 0, 7 * 86_400),
            Term("plan", _("Acts of the response"), "plan", [],
                 help=_('For act: [{"fleet": "shop", "kind": "queue.pause", "target": "reports", "parameters": {}}]')),
        ),
        _check_emergency,
    ),
    Kind.ACTING: Terms(
        Kind.ACTING,
        _("Acts"),
        _("Who decides about acts of one kind: a person each time, the platform within limits, or nobody."),
        (
            Term("mode", _("Decided"), "choice", "manual", choices=("manual", "auto", "never"),
                 help=_("manual: a person decides each time. auto: by itself within these limits."
                        " never: nobody does it")),
            Term("targets", _("Only these targets"), "text", "*", most=1000, help=_("With * and ?, commas between"),
                 required=True),
            Term("per_hour", _("In an hour, at most"), "whole", 6, 0, 3600),
            Term("cooldown_seconds", _("Between two on one subject (seconds)"), "whole", 300, 0, 86_400),
            Term("most", _("Workers or processes at a time"), "whole", 0, 0, 1000, help=_("0: no limit")),
            Term("stop_after", _("Stop after so many failed corrections"), "whole", 3, 1, 100),
            Term("approvers", _("Left to the group"), "text", "", most=150,
                 help=_("Its members alone decide; empty: whoever may operate. Administrators may override it")),
        ),
        _anything,
        many=True,
    ),
    Kind.DAMPING: Terms(
        Kind.DAMPING,
        _("Damping"),
        _("How long S2 lets acts wait that turn round what was done before, so that they do not chase each other."),
        handed.DAMPING,
        _anything,
    ),
    Kind.VARIETY: Terms(
        Kind.VARIETY,
        _("Variety"),
        _(
            "What a system's variety is judged by: the bands of the ratio, what absorbs, and the range of each"
            " subsystem."
        ),
        handed.VARIETY,
        handed.check_variety,
    ),
    Kind.GOAL: Terms(
        Kind.GOAL,
        _("Goals"),
        _("What the system is to reach, and how far it has come."),
        (
            Term("title", _("Title"), "text", "", most=120, required=True),
            Term("description", _("Description"), "text", "", most=2000),
            Term("source", _("Its value comes from"), "choice", Source.METRIC, choices=tuple(Source)),
            Term("metric", _("Metric"), "text", "", most=120),
            Term("unit", _("Of the unit"), "text", "", most=200,
                 help=_("By its name; empty for all that send the metric")),
            Term("aggregation", _("Of the window, the"), "choice", "avg", choices=AGGREGATIONS),
            Term("window_seconds", _("Window (seconds)"), "whole", 3600, 60, YEAR),
            Term("baseline", _("Baseline"), "number", 0.0, help=_("Where it began")),
            Term("target", _("Target"), "number", 1.0, help=_("Above or below the baseline")),
            Term("due_on", _("Due on"), "date", ""),
            _weight(),
            _ACTIVE,
        ),
        _check_goal,
        many=True,
    ),
    Kind.VALUE: Terms(
        Kind.VALUE,
        _("Values"),
        _("What the system stands for: policies and decisions are tagged with them."),
        (
            Term("title", _("Value"), "text", "", most=120, required=True),
            Term("statement", _("What it means"), "text", "", most=2000),
            _weight(),
            _ACTIVE,
        ),
        _anything,
        many=True,
    ),
}  # fmt: skip


def limits_of(fields: Mapping[str, Any]) -> Fields:
    """Return the limits of an acting policy as S3 takes them."""
    targets = [each.strip() for each in str(fields["targets"]).split(",") if each.strip()]
    limits = {name: fields[name] for name in ("per_hour", "cooldown_seconds", "stop_after")}
    return {**limits, "targets": targets or ["*"], **({"most": fields["most"]} if fields["most"] else {})}


@dataclass(frozen=True, slots=True)
class ViabilityPolicy:
    """Weights and thresholds by which one system's viability is judged (requirements 002-28, 002-32)."""

    weight_s1: float = 0.3
    weight_s2: float = 0.1
    weight_s3: float = 0.2
    weight_s4: float = 0.2
    weight_s5: float = 0.2
    viability_threshold: float = 0.7
    critical_threshold: float = 0.5


@dataclass(frozen=True, slots=True)
class AlertPolicy:
    """How much alerting one system tolerates, and how soon S5 expects an answer (requirements 002-39)."""

    max_alerts_per_hour: int = 20
    answer_critical_within_seconds: int = 300
    answer_warning_within_seconds: int = 1800


@dataclass(frozen=True, slots=True)
class EmergencyPolicy:
    """What S5 does by itself when a system is unhealthy (requirements 002-15, 2-53)."""

    mode: str = Mode.ADVISE
    after_seconds: int = 0
    repeat_seconds: int = 900
    plan: Sequence[Mapping[str, Any]] = field(default_factory=list)
