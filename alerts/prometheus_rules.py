"""Prometheus rule files, as far as they translate. What does not is named with the reason; nothing is done by half."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NUMBER = r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?"
_SELECTOR = r"(?P<metric>[a-zA-Z_:][\w:]*)\s*(?:\{(?P<labels>[^}]*)\})?"
_RANGE = r"\[(?P<range>[\dsmhdwy]+)\]"
_PLAIN = re.compile(_SELECTOR)
_BEFORE, _AFTER = rf"(?:(?P<q>{NUMBER})\s*,\s*)?", rf"(?:,\s*(?P<ahead>{NUMBER})\s*)?"
_CALL = re.compile(rf"(?P<name>\w+)\(\s*{_BEFORE}{_SELECTOR}\s*(?:{_RANGE})?\s*{_AFTER}\)")
_COMPARED = re.compile(rf"(?P<left>.+?)\s*(?P<sign>>=|<=|==|!=|>|<)\s*(?P<limit>{NUMBER})", re.DOTALL)
_MATCHER = re.compile(r'\s*(\w+)\s*(=~|!~|!=|=)\s*("(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\')\s*(?:,|$)')
_DURATION = re.compile(r"(\d+)(ms|[smhdwy])")
_PRINTF = re.compile(r'\{\{-?\s*(?:printf\s+"[^"]*"\s+\$value|\$value\s*\|\s*printf\s+"[^"]*")\s*-?\}\}')
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000}
_SIGNS = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}
_OVER_TIME = {
    "avg_over_time": "avg", "min_over_time": "min", "max_over_time": "max", "sum_over_time": "sum",
    "count_over_time": "count", "last_over_time": "last",
}  # fmt: skip
_SEVERITIES = {
    "critical": "critical", "page": "critical", "error": "critical", "warning": "warning", "ticket": "warning",
    "info": "info", "none": "info",
}  # fmt: skip
MAX_SECONDS = 3600


class Untranslatable(ValueError):
    """A rule says something that rules here cannot say."""


@dataclass
class Translation:
    """The fields of rules here, and why each of the others has none."""

    rules: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, str]] = field(default_factory=list)


def translated(document: object) -> Translation:
    """Translate a rule file that has been read from YAML. Raises ValueError where it is none."""
    if not isinstance(document, Mapping) or not isinstance(document.get("groups"), list):
        raise ValueError("A rule file has `groups`, a list.")
    found = Translation()
    for group in document["groups"]:
        if not isinstance(group, Mapping) or not isinstance(group.get("rules"), list):
            raise ValueError("A group has `rules`, a list.")
        for rule in group["rules"]:
            _translate(rule, group, found)
    return found


def _translate(rule: object, group: Mapping[str, Any], found: Translation) -> None:
    if not isinstance(rule, Mapping):
        raise ValueError("A rule is a mapping.")
    name = str(rule.get("alert") or rule.get("record") or "without a name")
    try:
        found.rules.append(fields_of(rule, group))
    except Untranslatable as error:
        found.refused.append({"name": name, "reason": str(error)})


def fields_of(rule: Mapping[str, Any], group: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of one alerting rule. Raises Untranslatable."""
    if "record" in rule:
        raise Untranslatable("It records a series; there are only alerting rules here.")
    labels = {str(name): _text(value) for name, value in (rule.get("labels") or {}).items()}
    severity = labels.pop("severity", "warning")
    if severity not in _SEVERITIES:
        raise Untranslatable(f"There is no severity {severity!r}: critical, warning and info are known.")
    annotations = {str(name): _text(value) for name, value in (rule.get("annotations") or {}).items()}
    runbook = annotations.pop("runbook_url", "")
    return {
        "name": str(rule.get("alert", "")), **expression(str(rule.get("expr", ""))),
        "for_seconds": _bounded(rule.get("for", 0), "for", MAX_SECONDS),
        "keep_firing_seconds": _bounded(rule.get("keep_firing_for", 0), "keep_firing_for", 86_400),
        "interval_seconds": _interval(group.get("interval", "1m")), "stale_seconds": 300,
        "severity": _SEVERITIES[severity], "labels": labels, "annotations": annotations, "runbook_url": runbook,
    }  # fmt: skip


def expression(text: str) -> dict[str, Any]:
    """Return the condition that a PromQL expression is. Raises Untranslatable."""
    text = " ".join(text.split())
    while text.startswith("(") and text.endswith(")") and _closes(text):
        text = text[1:-1].strip()
    call = _CALL.fullmatch(text)
    if call and call["name"] == "absent":
        return {"kind": "absence", "threshold": 300.0, "comparison": "gt", "across": "all", **_selected(call)}
    compared = _COMPARED.fullmatch(text)
    if not compared:
        raise Untranslatable(f"Only a comparison with a number is translated, such as m > 1; this is {text!r:.80}.")
    left, sign, limit = compared["left"].strip(), compared["sign"], float(compared["limit"])
    if left == "up" or (sign == "==" and limit == 0 and left.startswith("up{")):
        sign, limit = "<", 1.0  # it is 0 or 1
    if sign not in _SIGNS:
        raise Untranslatable(f"{sign} is not translated: rules compare with above, at least, below and at most.")
    while left.startswith("(") and left.endswith(")") and _closes(left):
        left = left[1:-1].strip()
    return {"comparison": _SIGNS[sign], **_number(left, limit)}


def _number(left: str, limit: float) -> dict[str, Any]:
    plain, call = _PLAIN.fullmatch(left), _CALL.fullmatch(left)
    if plain:
        return {"kind": "threshold", "threshold": limit, **_selected(plain)}
    if not call:
        raise Untranslatable(_why_not(left))
    name, chosen = call["name"], _selected(call)
    if call["range"] is None:
        raise Untranslatable(f"{name}() over several series is not translated: a rule looks at each series.")
    window = _bounded(call["range"], "range", MAX_SECONDS)
    chosen["window_seconds"] = window
    if name in _OVER_TIME:
        return {"kind": "threshold", "aggregation": _OVER_TIME[name], "threshold": limit, **chosen}
    if name == "quantile_over_time" and call["q"] == "0.95":
        return {"kind": "threshold", "aggregation": "p95", "threshold": limit, **chosen}
    if name == "rate":
        return {"kind": "rate", "threshold": limit, **chosen}
    if name == "increase":
        return {"kind": "rate", "threshold": limit / window, **chosen}
    if name == "delta":
        return {"kind": "change", "threshold": limit, **chosen}
    if name == "predict_linear" and call["ahead"]:
        params = {"method": "linear", "horizon_seconds": float(call["ahead"])}
        return {"kind": "forecast", "params": params, "threshold": limit, **chosen}
    raise Untranslatable(f"{name}() is not translated.")


def _selected(found: re.Match[str]) -> dict[str, Any]:
    parts = []
    rest = found["labels"] or ""
    while rest.strip():
        matcher = _MATCHER.match(rest)
        if not matcher:
            raise Untranslatable(f"The matchers {{{rest}}} cannot be read.")
        parts.append(_matcher(matcher[1], matcher[2], matcher[3][1:-1]))
        rest = rest[matcher.end() :]
    return {"metric": found["metric"], "match": ",".join(parts)}


def _matcher(name: str, sign: str, value: str) -> str:
    if sign in ("=~", "!~"):
        pattern = value.replace(".+", "?*").replace(".*", "*")
        literal = pattern.replace("?*", "").replace("*", "")
    else:
        pattern = literal = value
    if not re.fullmatch(r"[\w\-/:. @]*" if sign in ("=", "!=") else r"[\w\-/:]*", literal):
        raise Untranslatable(f"The matcher {name}{sign}{value!r} is not translated: only * stands for any text.")
    return f"{name}{'!=' if sign.startswith('!') else '='}{pattern}"


def _why_not(left: str) -> str:
    if re.match(r"(sum|avg|min|max|count|topk|bottomk|quantile)\b", left):
        return f"{left.split('(')[0].split()[0]} over several series is not translated: a rule looks at each series."
    if re.search(r"[-+*/]|\b(and|or|unless)\b", left):
        return "Arithmetic and joins of series are not translated; an expression rule can say some of them."
    return f"{left!r:.80} is not translated."


def _closes(text: str) -> bool:
    """Return whether the first bracket closes at the very end."""
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return place == len(text) - 1
    return False


def _duration(value: object, what: str) -> float:
    text = str(value)
    if text in ("0", ""):
        return 0.0
    if not re.fullmatch(rf"(?:{_DURATION.pattern})+", text):
        raise Untranslatable(f"{what}: {text!r} is no duration.")
    return sum(int(count) * _SECONDS[unit] for count, unit in _DURATION.findall(text))


def _bounded(value: object, what: str, most: int) -> int:
    seconds = _duration(value, what)
    if seconds > most:
        raise Untranslatable(f"{what} is {value}: at most {most} s is possible here.")
    return round(seconds)


def _interval(value: object) -> int:
    return min(max(round(_duration(value, "interval") / 5) * 5, 5), 3600)


def _text(value: object) -> str:
    return _PRINTF.sub("{{ value }}", str(value))
