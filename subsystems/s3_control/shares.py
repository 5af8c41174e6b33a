"""One limit for a whole fleet, divided among its workers: Celery itself limits each worker apart."""

from __future__ import annotations

from collections.abc import Collection, Mapping

PERIODS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def divided(rate_per_second: float, nodes: Collection[str]) -> dict[str, float]:
    """Return each node's share, in tasks a second: equal, because a worker with a backlog uses all of its own."""
    return {node: rate_per_second / len(nodes) for node in nodes}


def celery_rate(per_second: float) -> str:
    """Return a rate as Celery writes it. Per hour where it is slow: its text then keeps enough digits."""
    if per_second <= 0:
        return "0"
    return f"{per_second:.6g}/s" if per_second >= 1 else f"{per_second * 3600:.6g}/h"


def per_second(text: str) -> float | None:
    """Return the tasks a second that a rate of Celery's means; 0 for none, None for what is no rate."""
    number, _, period = text.strip().partition("/")
    try:
        rate = float(number)
    except ValueError:
        return None
    if rate < 0 or rate != rate or rate == float("inf") or (period or "s") not in PERIODS:
        return None
    return rate / PERIODS[period or "s"]


def same(one: str | None, other: str | None) -> bool:
    """Return whether two texts mean the same rate; no text and none mean no limit."""
    return (per_second(one or "0") or 0.0) == (per_second(other or "0") or 0.0)


def to_tell(wanted: Mapping[str, float], held: Mapping[str, str | None]) -> dict[str, str]:
    """Return what to tell whom so that each node holds its share.

    Nobody is told what they hold already: a worker that is told a limit starts its bucket anew, with one task more.
    """
    texts = {node: celery_rate(share) for node, share in wanted.items()}
    return {node: text for node, text in texts.items() if not same(held.get(node), text)}


def registered_rates(lines: Collection[str]) -> dict[str, str | None]:
    """Return rate limits by task from a worker's answer to `registered`: `name [rate_limit=10/s]`."""
    found: dict[str, str | None] = {}
    for line in lines:
        name, _, rest = line.partition(" [")
        items = dict(item.partition("=")[::2] for item in rest.rstrip("]").split())
        rate = items.get("rate_limit")
        found[name] = None if rate in (None, "None", "0") else rate
    return found
