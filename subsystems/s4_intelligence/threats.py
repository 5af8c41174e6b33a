"""What may go wrong, and what might be gained: from forecasts, plans and findings, each with its evidence.

The chance comes from the forecast's own spread. The impact is a judgement, and the same for all systems: how much of
what a system is for would be lost, between 0 and 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from subsystems.s4_intelligence.capacity import BUSY, Plan
from subsystems.s4_intelligence.matrices import Floats
from subsystems.s4_intelligence.saturation import WORTH_TELLING, crossing

# Where each metric is used up, what that is called, and how bad it would be.
LIMITS: Mapping[str, tuple[float, str, float]] = {
    "disk_ratio": (0.95, "The disk of {} fills up", 0.9),
    "memory_ratio": (0.95, "The memory of {} runs out", 0.8),
    "cpu_ratio": (0.95, "The CPU of {} is used up", 0.6),
}
BACKLOG_IMPACT, SHORTAGE_IMPACT, GAIN = 0.6, 0.7, 0.3
EXPIRED_IMPACT, UNSUPPORTED_IMPACT, SOURCE_IMPACT = 0.8, 0.4, 0.5
FAILURES = 2  # one after the other, before a source outside is a threat: one scan may fall into a restart
CERTIFICATE_DAYS, SUPPORT_DAYS = 21.0, 180.0  # before the end, from when on it is told
DAY = 86_400.0
IDLE = 0.3  # below which share of its workers a queue has many to spare
LEAST_WORKERS = 2
MANY_TIMES = 3  # as many workers as there are: more of the same is no answer any more


@dataclass(frozen=True, slots=True)
class Threat:
    """A threat, or where *good* an opportunity. Times are epoch seconds; None is not within what was foretold."""

    key: str
    kind: str
    subject: str
    title: str
    chance: float | None
    impact: float
    at: float | None = None
    earliest: float | None = None
    latest: float | None = None
    good: bool = False
    advice: str = ""
    advice_kind: str = "resource"
    effect: tuple[str, float, float, str] | None = None  # metric, from, to, unit
    evidence: Mapping[str, Any] = field(default_factory=dict)


def of_resource(
    metric: str, source: str, lines: dict[str, Floats], *, slot: int, step_seconds: int, evidence: Mapping[str, Any]
) -> Threat | None:
    """Return what is threatened when a resource of *source* is used up within the forecast; None where it is not."""
    limit, title, impact = LIMITS[metric]
    found = crossing(lines, limit)
    if found.chance < WORTH_TELLING:
        return None
    at, earliest, latest = (
        None if step is None else float(slot + step * step_seconds)
        for step in (found.expected, found.earliest, found.latest)
    )
    peak = float(lines["mean"].max())
    return Threat(
        f"saturation {metric} {source}", "saturation", source, title.format(source), found.chance, impact,
        at, earliest, latest,
        advice=f"Make room on {source}, or move work away from it, before it reaches {limit:.0%}.",
        effect=(metric, max(peak, limit), limit - 0.15, ""),
        evidence={**evidence, "limit": limit, "highest_mean": peak},
    )  # fmt: skip


def of_backlog(
    source: str, limit: float, lines: dict[str, Floats], *, slot: int, step_seconds: int, evidence: Mapping[str, Any]
) -> Threat | None:
    """Return what is threatened when a queue grows past what is bearable within the forecast."""
    found = crossing(lines, limit)
    peak = float(lines["mean"].max())
    if found.chance < WORTH_TELLING or peak <= float(lines["mean"][0]):
        return None  # one that is too deep already and empties is no news of tomorrow
    at, earliest, latest = (
        None if step is None else float(slot + step * step_seconds)
        for step in (found.expected, found.earliest, found.latest)
    )
    return Threat(
        f"backlog {source}", "backlog", source, f"{source} grows past {limit:,.0f} messages", found.chance,
        BACKLOG_IMPACT, at, earliest, latest,
        advice=f"Let more workers read {source}, or let less come.",
        effect=("ready", max(peak, limit), limit / 2, "messages"),
        evidence={**evidence, "limit": limit, "highest_mean": peak},
    )  # fmt: skip


def of_plan(
    source: str, plan: Plan, *, chance: float | None, ready: float | None, evidence: Mapping[str, Any]
) -> Threat | None:
    """Return what a plan threatens or offers: too few workers for what will arrive, or many that stand idle.

    *chance* is that more arrives than the workers can do; None where nothing is foretold of that.
    """
    if plan.utilisation is None or plan.needed is None or plan.workers is None:
        return None
    told = {**evidence, "workers": plan.workers, "needed": plan.needed, "utilisation": plan.utilisation}
    if plan.needed > plan.workers and plan.utilisation >= BUSY:
        far = plan.needed >= MANY_TIMES * plan.workers
        words = "Split the work of {}: it needs {} workers, and has {}" if far else "Give {} {} workers instead of {}"
        return Threat(
            f"shortage {source}", "shortage", source,
            f"{source} will have too few workers: {plan.workers}, and {plan.needed} are needed",
            chance, SHORTAGE_IMPACT,
            advice=words.format(source, plan.needed, plan.workers) + ".",
            advice_kind="architectural" if far else "resource",
            effect=None if not ready else ("ready", ready, 0.0, "messages"), evidence=told,
        )  # fmt: skip
    if plan.utilisation < IDLE and plan.workers > spare(plan.needed):
        return Threat(
            f"idle {source}", "idle", source,
            f"{source} has workers to spare: {plan.needed} of {plan.workers} would do",
            None, GAIN, good=True, advice_kind="optimisation",
            advice=f"Let {spare(plan.needed)} workers read {source} instead of {plan.workers}.",
            evidence=told,
        )  # fmt: skip
    return None


def spare(needed: int) -> int:
    """Return how many workers are kept where *needed* would do."""
    return max(LEAST_WORKERS, 2 * needed)


def of_certificate(source: str, days_left: float, *, now: float) -> Threat | None:
    """Return what is threatened when a certificate ends soon; that is certain unless somebody renews it."""
    if days_left > CERTIFICATE_DAYS:
        return None
    ends = now + days_left * DAY
    title = f"The certificate of {source} has expired" if days_left <= 0 else f"The certificate of {source} expires"
    return Threat(
        f"certificate {source}", "certificate", source, title, 1.0, EXPIRED_IMPACT, ends, ends, ends,
        advice=f"Renew the certificate of {source}.", effect=("certificate_days_left", days_left, 90.0, "days"),
        evidence={"days_left": days_left},
    )  # fmt: skip


def of_source(name: str, kind: str, error: str, failures: int, *, every_seconds: int, at: float) -> Threat | None:
    """Return what is threatened when a source outside fails scan after scan; it is so already, hence certain."""
    if failures < FAILURES:
        return None
    return Threat(
        f"source {name}", "source", name, f"{name} fails: {error}", 1.0, SOURCE_IMPACT, at, at, at,
        advice=f"See why {name} fails.", effect=("environment_ok", 0.0, 1.0, ""),
        evidence={"kind": kind, "error": error, "failures": failures, "scanned_at": at, "every_seconds": every_seconds},
    )  # fmt: skip


def of_version(name: str, version: str, ends: float | None, *, now: float) -> Threat | None:
    """Return what is threatened when *version* is soon supported no more; None where that is far or unknown."""
    if ends is None or ends - now > SUPPORT_DAYS * DAY:
        return None
    over = "is supported no more" if ends <= now else "is soon supported no more"
    return Threat(
        f"version {name} {version}", "version", f"{name} {version}", f"{name} {version} {over}", 1.0,
        UNSUPPORTED_IMPACT, ends, ends, ends, advice=f"Plan the step to a newer {name}.", advice_kind="architectural",
        evidence={"supported_until": ends, "version": version},
    )  # fmt: skip
