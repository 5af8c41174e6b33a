"""What became of every message: the ledgers of those who sent, against the rows of those who did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import psycopg

from benchmarks.faults.ledger import Told


@dataclass
class Verdict:
    """The words of RabbitMQ's own Jepsen test, and a few of ours."""

    side: str
    attempted: int = 0
    acknowledged: int = 0
    handled: int = 0
    lost: int = 0  # acknowledged, and never done
    doubled: int = 0  # done more than once
    unexpected: int = 0  # done, and never asked for
    recovered: int = 0  # never acknowledged, and done all the same
    unsent: int = 0  # committed, and the sending failed loudly: the control's caller knows of these
    absorbed: int = 0  # arrived again, and did nothing
    examples: list[str] = field(default_factory=list)  # of keys lost or doubled
    latency_ms: dict[str, list[float]] = field(default_factory=dict)  # p50, p99, longest, by channel
    facts: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def judge(side: str, told: Told, database: str) -> Verdict:
    """Compare what *side* acknowledged with what it did."""
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT key, channel, at FROM effects_effect WHERE side = %s", [side]).fetchall()
    times: dict[str, int] = {}
    latencies: dict[str, list[float]] = {}
    for key, channel, at in rows:
        times[key] = times.get(key, 0) + 1
        if key in told.acknowledged and not key.endswith(">"):
            latencies.setdefault(channel, []).append(max(0.0, at - told.acknowledged[key]) * 1000)
    lost = [key for key in told.acknowledged if key not in times]
    doubled = [key for key, count in times.items() if count > 1]
    return Verdict(
        side=side,
        attempted=len(told.attempted),
        acknowledged=len(told.acknowledged),
        handled=len(times),
        lost=len(lost),
        doubled=len(doubled),
        unexpected=sum(key not in told.attempted for key in times),
        recovered=sum(key not in told.acknowledged and key in told.attempted for key in times),
        unsent=told.unsent,
        examples=[f"lost {key}" for key in lost[:5]] + [f"doubled {key}" for key in doubled[:5]],
        latency_ms={channel: spread(values) for channel, values in sorted(latencies.items())},
    )


def look_into(verdict: Verdict, told: Told, database: str) -> None:
    """Add what the platform's own tables say: states, sendings, and an event for each message."""
    with psycopg.connect(database) as connection:

        def one(statement: str, values: Sequence[Any] = ()) -> Any:
            found = connection.execute(statement, values).fetchone()
            return found[0] if found else None

        states = connection.execute("SELECT state, count(*) FROM messaging_message GROUP BY state").fetchall()
        verdict.absorbed = one("SELECT coalesce(sum(sends - 1), 0)::int FROM messaging_message WHERE sends > 1")
        verdict.facts = {
            "messages": dict(states),
            "dead_letters": dict(
                connection.execute("SELECT reason, count(*) FROM messaging_deadletter GROUP BY reason").fetchall()
            ),
            "failed_attempts": one("SELECT coalesce(sum(attempts), 0)::int FROM messaging_message"),
            "not_sealed": one("SELECT count(*) FROM event_log_pendingevent"),
            "events": one("SELECT count(*) FROM event_log_event"),
            "messages_without_event": one(
                "SELECT count(*) FROM messaging_message m WHERE type = 'faults.work' AND channel <> 'platform'"
                " AND NOT EXISTS (SELECT 1 FROM event_log_event e WHERE e.message_id = m.id)"
            ),
        }
        lost = [example.split(" ")[1] for example in verdict.examples if example.startswith("lost")]
        if lost:
            statement = (
                "SELECT id, state, sends, attempts, last_error, due_at FROM messaging_message WHERE id = ANY(%s)"
            )
            verdict.facts["lost_rows"] = [str(row) for row in connection.execute(statement, [lost])]


def spread(values: Sequence[float]) -> list[float]:
    """Return p50, p99 and the longest of *values*."""
    ordered = sorted(values)
    return [round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1) for share in (0.5, 0.99, 1.0)]
