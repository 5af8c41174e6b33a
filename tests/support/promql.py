"""Reading the names of metrics out of PromQL, as far as dashboards and rules need it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
DASHBOARDS = sorted((DEPLOY / "grafana/dashboards").glob("*.json"))
RULES = DEPLOY / "prometheus/rules.yml"
_ASIDE = re.compile(r"\"[^\"]*\"|\{[^}]*\}|\[[^\]]*\]|\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_WORDS = {"and", "or", "unless", "bool", "offset", "inf", "nan"}


def metrics_of(query: str) -> set[str]:
    """Return the metrics that *query* asks for: names that are neither functions, labels nor words of the language."""
    while (plain := _ASIDE.sub(" ", query)) != query:
        query = plain
    return {name for name in re.findall(r"\b[a-zA-Z_:][a-zA-Z0-9_:]*\b(?!\s*\()", query) if name.lower() not in _WORDS}


def panels(dashboard: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (title, query) of each question of each panel."""
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"].replace("$system", ".*")


def dashboards() -> dict[str, dict[str, Any]]:
    """Return every dashboard by its title."""
    found = [json.loads(path.read_text()) for path in DASHBOARDS]
    return {each["title"]: each for each in found}


def rules() -> list[dict[str, Any]]:
    """Return every rule."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
