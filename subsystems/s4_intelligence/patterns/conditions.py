"""Conditions on the fields of an event, compiled once into functions: nothing here may raise on an event."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from subsystems.s4_intelligence.patterns.happening import MISSING, reader

Check = Callable[[Mapping[str, Any]], bool]
Test = Callable[[Any], bool]
MAX_CONDITIONS, MAX_DEPTH, MAX_LISTED, MAX_TEXT = 40, 6, 200, 500
REGEX_MEMORY = 1 << 20
LITERAL = re.compile(r"[\w:/ -]+", re.ASCII)
LARGEST = 2**63  # no float stands for all larger ones
SIGNS = {"=": "eq", "==": "eq", "!=": "neq", ">": "gt", ">=": "gte", "<": "lt", "<=": "lte", "matches": "regex"}
GROUPS = ("all", "any", "not")


class Mistaken(ValueError):
    """A condition that cannot be, and where it stands."""

    def __init__(self, path: Sequence[str | int], words: str) -> None:
        super().__init__(words)
        self.path, self.words = tuple(path), words


def compiled(where: object, path: Sequence[str | int] = ()) -> Check | None:
    """Return a function that tells whether an event's data meets *where*; None when every event does.

    Raises Mistaken.
    """
    checks = _checks(where, tuple(path), [0], 0)
    return _all(checks) if checks else None


def is_number(value: object) -> bool:
    """Return whether *value* can be compared as a number: true and false are none, nor is what is not finite."""
    kind = type(value)
    if kind is float:
        return math.isfinite(value)  # type: ignore[arg-type]
    return kind is int and -LARGEST <= value <= LARGEST  # type: ignore[operator]


def _checks(where: object, path: tuple[str | int, ...], count: list[int], depth: int) -> list[Check]:
    if not isinstance(where, Mapping):
        raise Mistaken(path, "conditions are a mapping of fields to values, such as {action: adjust}")
    if depth > MAX_DEPTH:
        raise Mistaken(path, f"conditions are nested more than {MAX_DEPTH} deep")
    found = []
    for name, asked in where.items():
        here = (*path, name)
        count[0] += 1
        if count[0] > MAX_CONDITIONS:
            raise Mistaken(here, f"at most {MAX_CONDITIONS} conditions")
        if not isinstance(name, str) or not 0 < len(name) <= 200:
            raise Mistaken(here, "the name of a field is a text of at most 200 letters")
        found.append(_group(name, asked, here, count, depth) if name in GROUPS else _field(name, asked, here))
    return found


def _group(name: str, asked: object, path: tuple[str | int, ...], count: list[int], depth: int) -> Check:
    if name == "not":
        denied = _all(_checks(asked, path, count, depth + 1))
        return lambda data: not denied(data)
    if not isinstance(asked, list) or not asked:
        raise Mistaken(path, f"{name} has a list of conditions")
    parts = [_all(_checks(each, (*path, place), count, depth + 1)) for place, each in enumerate(asked)]
    return _all(parts) if name == "all" else lambda data: any(part(data) for part in parts)


def _field(name: str, asked: object, path: tuple[str | int, ...]) -> Check:
    """Return the check of one field: a value that it equals, or a mapping of operators."""
    get = reader(name)
    if not isinstance(asked, Mapping):
        return _check(get, name, "eq", asked, path)
    if not asked:
        raise Mistaken(path, "name an operator, such as {gt: 8}")
    return _all([_check(get, name, operator, value, (*path, operator)) for operator, value in asked.items()])


def _check(get: Callable[[Any], Any], name: str, operator: object, value: Any, path: tuple[str | int, ...]) -> Check:
    word = SIGNS.get(str(operator), str(operator))
    make = _OPERATORS.get(word)
    if make is None:
        raise Mistaken(path, f"there is no operator {str(operator)!r:.40}: {', '.join(_OPERATORS)}")
    try:
        test = make(value)
    except ValueError as error:
        raise Mistaken(path, str(error)) from None
    if "." in name:
        return lambda data: test(get(data))
    return lambda data: test(data.get(name, MISSING))


def _all(checks: Sequence[Check]) -> Check:
    if len(checks) == 1:
        return checks[0]
    if len(checks) == 2:
        first, second = checks
        return lambda data: first(data) and second(data)
    return lambda data: all(check(data) for check in checks)


# --- Operators --------------------------------------------------------------------------------------------------------
def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int) or is_number(value):
        return value
    if isinstance(value, str) and len(value) <= MAX_TEXT:
        return value
    raise ValueError(f"compare with a text of at most {MAX_TEXT} letters, a finite number, true, false or null")


def _same(found: Any, value: Any) -> bool:
    """True is not 1: a field that says yes is another thing than a count of one."""
    return found == value and isinstance(found, bool) == isinstance(value, bool)


def _eq(value: Any) -> Test:
    wanted = _plain(value)
    if isinstance(wanted, str):
        return lambda found: found == wanted
    return lambda found: _same(found, wanted)


def _neq(value: Any) -> Test:
    wanted = _plain(value)
    return lambda found: found is not MISSING and not _same(found, wanted)


def _limit(value: Any) -> float:
    if not is_number(value):
        raise ValueError("compare with a finite number")
    return float(value)


def _gt(value: Any) -> Test:
    limit = _limit(value)
    return lambda found: is_number(found) and found > limit


def _gte(value: Any) -> Test:
    limit = _limit(value)
    return lambda found: is_number(found) and found >= limit


def _lt(value: Any) -> Test:
    limit = _limit(value)
    return lambda found: is_number(found) and found < limit


def _lte(value: Any) -> Test:
    limit = _limit(value)
    return lambda found: is_number(found) and found <= limit


def _exists(value: Any) -> Test:
    if not isinstance(value, bool):
        raise ValueError("exists is true or false")
    return lambda found: (found is not MISSING and found is not None) is value


def _in(value: Any) -> Test:
    if not isinstance(value, list) or not 0 < len(value) <= MAX_LISTED:
        raise ValueError(f"in has a list of at most {MAX_LISTED} values")
    wanted = [_plain(each) for each in value]
    return lambda found: any(_same(found, each) for each in wanted)


def _regex(value: Any) -> Test:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT:
        raise ValueError(f"a regular expression is a text of at most {MAX_TEXT} letters")
    if value[0] == "^" and LITERAL.fullmatch(value[1:]):
        start = value[1:]  # a plain beginning needs no engine of several megabytes
        return lambda found: isinstance(found, str) and found.startswith(start)
    import re2  # four megabytes: only where somebody writes a regular expression

    options = re2.Options()
    options.max_mem, options.log_errors = REGEX_MEMORY, False
    try:
        search = re2.compile(value, options).search  # linear in time, whatever the expression
    except re2.error as error:
        told = error.args[0] if error.args else error
        raise ValueError(f"no regular expression: {told.decode() if isinstance(told, bytes) else told}") from None
    return lambda found: isinstance(found, str) and search(found) is not None


_OPERATORS: dict[str, Callable[[Any], Test]] = {
    "eq": _eq, "neq": _neq, "gt": _gt, "gte": _gte, "lt": _lt, "lte": _lte, "exists": _exists, "in": _in,
    "regex": _regex,
}  # fmt: skip
