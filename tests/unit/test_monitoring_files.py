"""Dashboards and rules as files: whole, named as the design names them, and right in the eyes of promtool."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.promql import DEPLOY, dashboards, metrics_of, panels, rules

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool (Debian's package prometheus) is not installed")
TITLES = {
    "System Overview", "Operational Metrics (S1)", "Coordination Metrics (S2)", "Control Metrics (S3)",
    "Intelligence Metrics (S4)", "Policy Metrics (S5)",
    "VSM Overview", "System Deep Dives", "Variety Analysis", "Algedonic Signals", "Performance Metrics",
}  # fmt: skip


def test_every_dashboard_of_the_design_is_there() -> None:
    """Six of one document and five of another (requirements 000-74 to 000-79, 001-22, 2-42)."""
    assert set(dashboards()) == TITLES


def test_dashboards_can_be_told_apart_and_moved() -> None:
    """Each has an identity of its own, asks the data source that is chosen, and can be narrowed to a system."""
    found = list(dashboards().values())

    assert len({each["uid"] for each in found}) == len(found)
    for each in found:
        assert [variable["name"] for variable in each["templating"]["list"]] == ["datasource", "system"]
        assert len({panel["id"] for panel in each["panels"]}) == len(each["panels"])
        assert {panel["datasource"]["uid"] for panel in each["panels"]} == {"${datasource}"}


@pytest.mark.parametrize("dashboard", dashboards().values(), ids=dashboards())
def test_panels_do_not_lie_on_each_other(dashboard: dict[str, Any]) -> None:
    """Two panels in one place hide one of them."""
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken
        taken |= cells


@needs_promtool
@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "rules", "rules.yml"],
        ["test", "rules", "rules_test.yml"],
        ["check", "config", "--syntax-only", "prometheus.yml"],
    ],
    ids=["rules are valid", "rules fire when they should", "the configuration is valid"],
)
def test_prometheus_own_tool_is_content(arguments: list[str]) -> None:
    """A rule with a mistake is found by nobody until the night when it should have fired."""
    assert PROMTOOL is not None
    done = subprocess.run(
        [PROMTOOL, *arguments], cwd=DEPLOY / "prometheus", capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_every_query_of_a_panel_is_valid(tmp_path: Path) -> None:
    """Put as rules, they can be checked without a server."""
    assert PROMTOOL is not None
    queries = [query for dashboard in dashboards().values() for _, query in panels(dashboard)]
    recorded = [{"record": f"panel:{n}", "expr": query} for n, query in enumerate(queries)]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}))

    done = subprocess.run([PROMTOOL, "check", "rules", str(file)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_says_how_bad_it_is_and_what_is_the_matter() -> None:
    """Somebody reads it at night."""
    alerts = [rule for rule in rules() if "alert" in rule]

    assert {rule["labels"]["severity"] for rule in alerts} == {"critical", "warning"}
    assert all(rule["annotations"]["summary"].endswith(".") for rule in alerts)
    assert len({rule["alert"] for rule in alerts}) == len(alerts)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        pytest.param('sum by (a, b) (rate(x_total{c="d_total",e=~"f"}[5m])) * 60', {"x_total"}, id="a rate"),
        pytest.param("a:b / on (c) group_left (d) e > 1 and f offset 5m", {"a:b", "e", "f"}, id="a match"),
        pytest.param("absent(up)", {"up"}, id="a function"),
    ],
)
def test_names_are_found_in_queries(query: str, names: set[str]) -> None:
    """The proof that every panel has an answer rests on this."""
    assert metrics_of(query) == names
