"""Conditions that no other kind has, in CEL: `value > 0.9 && metrics["load"] > 4.0 && labels["tier"] != "test"`.

The Common Expression Language has no loops without bounds and no side effects. Its library is loaded when the first
expression is used: it takes 30 MB.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from alerts.conditions.kind import Asked, Feed, Kind, text, texts
from subsystems.kernel.errors import Invalid
from subsystems.kernel.texts import gettext_noop as _
from subsystems.telemetry.samples import METRIC_NAME

LONGEST = 1000
EXAMPLE: dict[str, Any] = {
    "value": 1.0, "avg": 1.0, "min": 1.0, "max": 1.0, "sum": 1.0, "count": 1.0, "p95": 1.0, "change": 1.0, "rate": 1.0,
    "labels": {}, "metrics": {}, "source": "", "unit": "", "unit_kind": "", "system": "",
}  # fmt: skip


@lru_cache(maxsize=1000)
def compiled(expression: str) -> Any:
    """Return the program of *expression*. Raises Invalid."""
    import cel

    try:
        return cel.compile(expression)
    except (ValueError, TypeError, RuntimeError) as error:
        raise Invalid(f"The expression cannot be read: {error}", field="params") from None


def evaluated(expression: str, names: Mapping[str, Any]) -> float:
    """Return what *expression* says: a number, or 1 and 0 for true and false. Raises ValueError with the reason."""
    try:
        found = compiled(expression).execute(dict(names))
    except Exception as error:  # noqa: BLE001 - the library raises whatever Python has for it
        raise ValueError(str(error)) from None
    if isinstance(found, bool | int | float):
        return float(found)
    raise ValueError(f"it gives {type(found).__name__}, neither a number nor true or false")


def window(asked: Asked) -> float:
    """Return the window: only what the rule names is read."""
    return asked.window_seconds


def _check(params: dict[str, Any]) -> None:
    expression = text(params, "expression", LONGEST, required=True)
    for metric in texts(params, "metrics", 10):
        if not METRIC_NAME.fullmatch(metric):
            raise Invalid(f"{metric!r} is no metric.", field="params")
    _try(expression, params["metrics"])


def _try(expression: str, metrics: list[str]) -> None:
    """Refuse what cannot work even with every name known."""
    compiled(expression)
    labels = dict.fromkeys(re.findall(r'labels(?:\.|\[["\'])(\w+)', expression), "")
    names = {**EXAMPLE, "labels": labels, "metrics": dict.fromkeys(metrics, 1.0)}
    try:
        evaluated(expression, names)
    except ValueError as error:
        raise Invalid(f"The expression does not work: {error}", field="params") from None


KIND = Kind(
    "expression", _("Expression"), "what the expression gives", Feed.EXPRESSION,
    defaults={"expression": "", "metrics": []}, check=_check, default_threshold=0.5,
)  # fmt: skip
