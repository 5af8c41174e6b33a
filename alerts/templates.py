"""Texts with places to fill: `{{ value }}`, `{{ labels.queue }}`, `{{ threshold | percent }}`.

A small language of its own: no loops, no lookups beyond the alert itself, and whatever it does not know is refused when
the rule is saved rather than when it fires. Prometheus' `$value` and `$labels.x` mean the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from subsystems.kernel.errors import Invalid
from subsystems.telemetry.samples import LABEL_NAME

NAMES = (
    "value", "threshold", "unit", "unit_kind", "system", "severity", "alertname", "metric", "source", "subject",
)  # fmt: skip
VOLATILE = frozenset({"value", "threshold"})  # a label that changed with each value would be another alert each time
OWN_LABELS = ("alertname", "severity", "system", "unit", "unit_kind")
MAX_ENTRIES = 32
MAX_TEXT = 2000
_PLACE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_EXPRESSION = re.compile(r"\$?(?P<name>[A-Za-z_]\w*)(?:\.(?P<label>\w+))?\s*(?:\|\s*(?P<form>\w+))?")


def check(texts: object, field: str, *, volatile: bool = True) -> None:
    """Raise Invalid where *texts* is no mapping of names to texts that can be filled; *field* is named at fault."""
    if not isinstance(texts, dict):
        raise Invalid("A mapping of names to texts is wanted.", field=field)
    if len(texts) > MAX_ENTRIES:
        raise Invalid(f"At most {MAX_ENTRIES} entries.", field=field)
    for name, text in texts.items():
        if not isinstance(name, str) or not LABEL_NAME.fullmatch(name):
            raise Invalid(f"{name!r} is no name: letters, digits and _, the first no digit.", field=field)
        if not isinstance(text, str) or len(text) > MAX_TEXT or "\0" in text:
            raise Invalid(f"{name}: a text of at most {MAX_TEXT} characters is wanted.", field=field)
        try:
            _check_text(text, volatile=volatile)
        except ValueError as error:
            raise Invalid(f"{name}: {error}", field=field) from None


def check_labels(labels: object, field: str = "labels") -> None:
    """Raise Invalid for labels that a rule cannot give its alerts."""
    check(labels, field, volatile=False)
    assert isinstance(labels, dict)
    for name in OWN_LABELS:
        if name in labels:
            raise Invalid(f"{name} is set by the platform.", field=field)


def fill(text: str, names: Mapping[str, object], labels: Mapping[str, str]) -> str:
    """Return *text* with its places filled; a label that the series lacks is empty."""

    def filled(place: re.Match[str]) -> str:
        name, label, form = _parsed(place[1])
        found = labels.get(label, "") if label else names.get(name, "")
        return _shown(found, form)

    return _PLACE.sub(filled, text)


def _check_text(text: str, *, volatile: bool) -> None:
    if "{{" in _PLACE.sub("", text) or "}}" in _PLACE.sub("", text):
        raise ValueError("a {{ without its }}, or the other way round")
    for place in _PLACE.findall(text):
        name, _, _ = _parsed(place)
        if name in VOLATILE and not volatile:
            raise ValueError(f"{name} changes while the alert lasts, so it cannot be in a label")


def _parsed(place: str) -> tuple[str, str, str]:
    """Return name, label and form of what stands between the braces. Raises ValueError."""
    found = _EXPRESSION.fullmatch(place.strip())
    if not found:
        raise ValueError(f"{{{{{place}}}}} is not understood: {{{{ value }}}} or {{{{ labels.queue }}}} is")
    name, label, form = found["name"], found["label"] or "", found["form"] or ""
    if (name == "labels") != bool(label) or (not label and name not in NAMES):
        known = ", ".join([*NAMES, "labels.<name>"])
        raise ValueError(f"there is no {place.strip()!r}; there are {known}")
    if form and form not in FORMS:
        raise ValueError(f"there is no form {form!r}; there are {', '.join(FORMS)}")
    return name, label, form


def _shown(found: object, form: str) -> str:
    if found is None:
        return "unknown"
    if isinstance(found, bool) or not isinstance(found, int | float):
        return str(found)
    return FORMS[form](found) if form else f"{found:.6g}"


def _scaled(value: float, base: float, units: str) -> str:
    step = 0
    while abs(value) >= base and step < len(units):
        value, step = value / base, step + 1
    return f"{value:.4g}{units[step - 1] if step else ''}"


def _duration(seconds: float) -> str:
    if abs(seconds) < 1:
        return f"{seconds * 1000:.4g}ms"
    left = round(abs(seconds))
    parts: list[str] = []
    for name, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or (name == "s" and not parts):
            parts.append(f"{count}{name}")
    return ("-" if seconds < 0 else "") + " ".join(parts)


FORMS: dict[str, Callable[[float], str]] = {
    "percent": lambda ratio: f"{ratio * 100:.4g}%",
    "duration": _duration,
    "bytes": lambda value: _scaled(value, 1024, "KMGTPE") + "iB" if abs(value) >= 1024 else f"{value:.4g}B",
    "humanize": lambda value: _scaled(value, 1000, "kMGTPE"),
    "humanize1024": lambda value: _scaled(value, 1024, "KMGTPE"),
    "humanizePercentage": lambda ratio: f"{ratio * 100:.4g}%",
    "humanizeDuration": _duration,
}
