"""Ready-made patterns: the documented ones (004-24 to 004-26), the five models (004-21) and what else a VSM shows.

Each is the text that a person would write, and is edited like one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from subsystems.kernel.texts import gettext_noop as _


@dataclass(frozen=True, slots=True)
class ReadyMade:
    """A pattern to begin with; *needs* says whose events it waits for."""

    name: str
    title: str
    needs: str
    text: str


_ALL = (
    ReadyMade(
        "variety_imbalance", _("Variety imbalance (004-24)"), _("Readings of variety, every 30 s"),
        """\
pattern: variety_imbalance
description: More variety comes in than the system can answer with, three readings long.
when:
  all:
    - sequence:
        # Bits: 8 are 256 states, which nobody can tell from fewer than 1,280 observations (2-18).
        - event: vsm_core.variety.calculated
          where: {input_variety: {'>': 8.0}, input_samples: {gte: 1280}}
        - event: vsm_core.variety.calculated
          where: {input_variety: {'>': 8.0}, input_samples: {gte: 1280}}
          within: 35s   # readings come every 30 s
        - event: vsm_core.variety.calculated
          where: {input_variety: {'>': 8.0}, input_samples: {gte: 1280}}
          within: 35s
    - concurrent:
        - event: vsm_core.variety.calculated
          where: {output_variety: {'<': 2.0}}
levels: {watch: 0.3, warn: 0.6}
actions:
  - signal: {severity: medium}
""",
    ),
    ReadyMade(
        "coordination_oscillation", _("Coordination oscillation (004-25)"), _("Acts told to S2, and how far they went"),
        """\
pattern: coordination_oscillation
description: S2 adjusts again and again, and more each time.
when:
  all:
    - frequency:
        event: vsm_core.system2.coordination
        where: {action: adjust}
        count: {gt: 10}
        within: minutes_5
    - trend:
        event: vsm_core.system2.coordination
        where: {action: adjust}
        metric: adjustment_magnitude
        direction: increasing
        duration: minutes_5
levels: {watch: 0.5, warn: 0.8}
actions:
  - recommend: {act: coordination_adjustment}
""",
    ),
    ReadyMade(
        "opportunity_emergence", _("Emerging opportunity (004-26, 004-21)"),
        _("Performance of S1, use of resources, scans of sources outside"),
        """\
pattern: opportunity_emergence
description: Performance rises while there is room, and the outside looks well.
when:
  all:
    - trend:
        event: vsm_core.performance
        metric: performance_score
        direction: increasing
        duration: minutes_15
        confidence: 0.8
    - concurrent:
        - event: vsm_core.system3.resources
          where: {utilization: {'<': 0.7}}
    - recent:
        event: vsm_core.system4.scan
        where: {market_sentiment: positive}
        within: minutes_15
rearm_after: 1h
actions:
  - signal: {type: pleasure, severity: low}
""",
    ),
    ReadyMade(
        "cascading_failure", _("Cascading failure (004-21)"), _("Algedonic signals"),
        """\
pattern: cascading_failure
description: Pain of several sources within a minute, one after the other.
when:
  frequency:
    event: vsm.algedonic.pain
    where: {severity: {in: [critical, high]}, not: {source: {regex: '^pattern:'}}}
    distinct: source
    count: 3
    within: 1m
levels: {watch: 0.3, warn: 0.6}
actions:
  - signal: {severity: high}
""",
    ),
    ReadyMade(
        "performance_degradation", _("Performance degradation (004-21)"), _("Operations of units, by telemetry"),
        """\
pattern: performance_degradation
description: The operations of a unit take more than half a second, and longer and longer.
key: [unit, unit_id]
when:
  all:
    - trend:
        event: vsm.s1.operation.stop
        where: {duration: {gt: 500}}
        metric: duration
        direction: increasing
        duration: 10m
        confidence: 0.95
        least: 8
    - frequency: {event: vsm.s1.operation.stop, where: {duration: {gt: 500}}, count: 5, within: 5m}
levels: {warn: 0.8}
rearm_after: 15m
actions:
  - recommend: {act: look, title: Operations take longer and longer}
""",
    ),
    ReadyMade(
        "load_oscillation", _("Load oscillation (004-21)"), _("Corrections that S2 was told of"),
        """\
pattern: load_oscillation
description: What was scaled out is scaled in and out again, whoever does it.
key: subject
when:
  frequency: {event: vsm.s2.act, where: {reversal: true}, count: 3, within: 15m}
levels: {watch: 0.3, warn: 0.6}
rearm_after: 15m
actions:
  - recommend: {act: coordination_adjustment, title: Damp corrections that chase each other}
""",
    ),
    ReadyMade(
        "load_increase", _("Load increase (004-22)"), _("Rejections of the rate limiter, back-pressure of channels"),
        """\
pattern: load_increase
description: Senders are slowed down or refused again and again because more comes than limits and channels allow.
key: [channel]
when:
  frequency: {event: [rate_exceeded, backpressure], count: 3, within: 10m}
levels: {watch: 0.3, warn: 0.6}
rearm_after: 10m
actions:
  - recommend: {act: auto_scale, direction: out}
""",
    ),
    ReadyMade(
        "unanswered_pain", _("Pain without an answer"), _("Algedonic signals and what people answer"),
        """\
pattern: unanswered_pain
description: Nobody has acknowledged, responded to or resolved a critical signal for ten minutes.
key: [signal_id]
when:
  absence:
    after: {event: vsm.algedonic.pain, where: {severity: critical}}
    event: [AlgedonicSignalAcknowledged, AlgedonicSignalResponseStarted, AlgedonicSignalResolved,
            AlgedonicSignalFalseAlarm]
    within: 10m
actions:
  - signal: {severity: high}
""",
    ),
    ReadyMade(
        "flapping_alert", _("Flapping alert"), _("Changes of alerts"),
        """\
pattern: flapping_alert
description: An alert fires and ends again and again.
key: fingerprint
when:
  frequency: {event: alert.firing, count: 4, within: 1h}
levels: {watch: 0.5, warn: 0.75}
rearm_after: 1h
actions:
  - recommend: {act: look, title: A rule that flaps needs another threshold or a hold}
""",
    ),
    ReadyMade(
        "refused_messages", _("Messages refused"), _("Messages that break the table of flows"),
        """\
pattern: refused_messages
description: The same sender is refused again and again; something is wired wrongly.
key: [from]
when:
  frequency: {event: message.refused, count: {gt: 10}, within: 5m}
levels: {watch: 0.5, warn: 0.8}
actions:
  - recommend: {act: look, title: A sender is refused again and again}
""",
    ),
    ReadyMade(
        "late_answers", _("Answers that do not come"), _("Requests that expire"),
        """\
pattern: late_answers
description: Requests expire unanswered; a subsystem does not hear or does not answer.
key: [to]
when:
  frequency: {event: request.expired, count: 3, within: 10m}
levels: {watch: 0.3, warn: 0.6}
actions:
  - signal: {severity: medium}
""",
    ),
    ReadyMade(
        "policy_churn", _("Policy churn"), _("Changes of policies"),
        """\
pattern: policy_churn
description: Policies change faster than anybody can see what the last change did.
when:
  frequency: {event: vsm.s5.policy.update, count: {gt: 5}, within: 10m}
levels: {watch: 0.5, warn: 0.8}
actions:
  - recommend: {act: look, title: Wait and see what the last change of policy did}
""",
    ),
    ReadyMade(
        "storm_of_patterns", _("A storm of patterns"), _("Detections of other patterns"),
        """\
pattern: storm_of_patterns
description: Three different patterns within five minutes; what they have in common is worth a look.
when:
  frequency:
    event: pattern.detected
    where: {pattern: {neq: storm_of_patterns}}
    distinct: pattern
    count: 3
    within: 5m
rearm_after: 15m
actions:
  - signal: {severity: high}
""",
    ),
)  # fmt: skip
BUILT_IN: Mapping[str, ReadyMade] = {each.name: each for each in _ALL}
