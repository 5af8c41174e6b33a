"""One field of a policy: what may stand in it, and how it is read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from subsystems.kernel.errors import Invalid

Fields = dict[str, Any]
LARGEST = 1e15  # numbers beyond it are typing mistakes
MOST_ACTS = 20


@dataclass(frozen=True, slots=True)
class Term:
    """One field: what it is called, what may stand in it, and what stands there unless somebody says otherwise."""

    name: str
    label: str
    kind: str  # number, whole, choice, text, flag, date
    default: Any
    low: float = -LARGEST
    high: float = LARGEST
    choices: Sequence[str] = ()
    most: int = 0  # characters
    help: str = ""
    required: bool = False

    def read(self, value: Any) -> Any:
        """Return *value* as it is stored. Raises Invalid naming the field."""
        try:
            return _READ[self.kind](self, value)
        except ValueError as error:
            raise Invalid(str(error), field=self.name) from None


def _number(term: Term, value: Any) -> float | None:
    if value is None and term.default is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError("A finite number.")
    if not term.low <= value <= term.high:
        raise ValueError(f"A number from {term.low:g} to {term.high:g}.")
    return float(value)


def _whole(term: Term, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value or 0):
        raise ValueError("A whole number.")
    if not term.low <= value <= term.high:
        raise ValueError(f"A whole number from {term.low:.0f} to {term.high:.0f}.")
    return int(value)


def _choice(term: Term, value: Any) -> str:
    if value not in term.choices:
        raise ValueError(f"One of {', '.join(term.choices)}.")
    return str(value)


def _text(term: Term, value: Any) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError("A text.")
    if len(value) > term.most:
        raise ValueError(f"At most {term.most} characters.")
    return value.strip()


def _flag(term: Term, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("True or false.")
    return value


def _date(term: Term, value: Any) -> str:
    if value in ("", None):
        return ""
    try:
        return date.fromisoformat(str(value)).isoformat()
    except ValueError:
        raise ValueError("A date, as 2026-12-31.") from None


def _plan(term: Term, value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or len(value) > MOST_ACTS:
        raise ValueError(f"A list of {MOST_ACTS} acts at most.")
    for act in value:
        if not isinstance(act, dict) or set(act) - {"fleet", "kind", "target", "parameters"}:
            raise ValueError("An act has fleet, kind, target and parameters.")
        named = [act.get(name) for name in ("fleet", "kind")]
        if not all(isinstance(each, str) and each for each in named):
            raise ValueError("An act names its fleet and its kind.")
        if not isinstance(act.get("target", ""), str) or not isinstance(act.get("parameters", {}), dict):
            raise ValueError("A target is a text, parameters are an object.")
    return value


_READ: Mapping[str, Callable[[Term, Any], Any]] = {
    "number": _number, "whole": _whole, "choice": _choice, "text": _text, "flag": _flag, "date": _date, "plan": _plan,
}  # fmt: skip
