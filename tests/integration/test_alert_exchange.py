"""Rules in and out: Prometheus' files as far as they translate, our own YAML, and sets to begin with."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from rest_framework.test import APIClient

from alerts import exchange
from alerts.models import AlertRule
from alerts.prometheus_rules import Untranslatable, expression
from alerts.starters import PACKS
from subsystems.kernel.errors import Invalid
from subsystems.recursion.queries import root_system
from tests.support.factories import make_system, make_unit, make_user

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("up == 0", {"metric": "up", "comparison": "lt", "threshold": 1}),
        ('up{job="node"} == 0', {"match": "job=node", "comparison": "lt", "threshold": 1}),
        ('(m{a="b",c!="d"}) >= 1.5e3', {"match": "a=b,c!=d", "comparison": "gte", "threshold": 1500}),
        ('m{path=~"/var.*"} < -1', {"match": "path=/var*", "threshold": -1}),
        ('rate(m{queue=~".+"}[5m]) > 2', {"kind": "rate", "window_seconds": 300, "match": "queue=?*"}),
        ("increase(m[10m]) > 60", {"kind": "rate", "window_seconds": 600, "threshold": 0.1}),
        ("avg_over_time(m[1h]) > 2", {"aggregation": "avg", "window_seconds": 3600}),
        ("quantile_over_time(0.95, m[5m]) > 2", {"aggregation": "p95"}),
        ("delta(m[5m]) > 2", {"kind": "change"}),
        ("predict_linear(m[1h], 4 ) < 0", {"kind": "forecast", "params": {"method": "linear", "horizon_seconds": 4.0}}),
        ('absent(m{a="b"})', {"kind": "absence", "across": "all", "match": "a=b"}),
    ],
)
def test_what_translates(text: str, fields: dict[str, Any]) -> None:
    """A selector, a function over time, a comparison with a number."""
    found = expression(text)

    assert {name: found[name] for name in fields} == fields


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("m", "Only a comparison"),
        ("m == 3", "== is not translated"),
        ("sum by (a) (rate(m[5m])) > 1", "sum over several series"),
        ("a / b > 0.5", "Arithmetic"),
        ("histogram_quantile(0.9, rate(m[5m])) > 1", "is not translated"),
        ("deriv(m[5m]) > 1", "deriv\\(\\) is not translated"),
        ("rate(m[2h]) > 1", "at most 3600 s"),
        ('m{a=~"x|y"} > 1', "only \\* stands"),
        ('m{a="x*"} > 1', "only \\* stands"),
        ("m > on(a) n", "Only a comparison"),
    ],
)
def test_what_does_not_translate_says_why(text: str, reason: str) -> None:
    """A rule that means something else than it did would be worse than none."""
    with pytest.raises(Untranslatable, match=reason):
        expression(text)


FILE = """
groups:
- name: node
  interval: 30s
  rules:
  - record: a:b
    expr: sum(a)
  - alert: Full
    expr: disk_ratio{path="/"} > 0.9
    for: 5m
    keep_firing_for: 10m
    labels: {severity: page, team: infra}
    annotations:
      summary: 'Disk of {{ $labels.instance }} is {{ $value | humanizePercentage }} ({{ printf "%.2f" $value }})'
      runbook_url: https://runbooks.test/full
  - alert: Long
    expr: m > 1
    for: 2h
  - alert: Odd
    expr: m > 1
    annotations: {summary: '{{ range query "up" }}x{{ end }}'}
"""


def test_a_rule_file_is_imported_as_far_as_it_goes() -> None:
    """Whole rules only, and the reason for each of the others."""
    found = exchange.import_rules(root_system(), None, FILE)

    rule = AlertRule.objects.get()
    assert found.added == ["Full"]
    assert {each["name"]: each["reason"].split()[0] for each in found.refused} == {
        "a:b": "It", "Long": "for", "Odd": "annotations:",
    }  # fmt: skip
    assert (rule.severity, rule.labels, rule.for_seconds, rule.keep_firing_seconds, rule.interval_seconds) == (
        "critical", {"team": "infra"}, 300, 600, 30,
    )  # fmt: skip
    assert rule.runbook_url == "https://runbooks.test/full"


def test_a_dry_run_keeps_nothing() -> None:
    """First look, then import."""
    assert exchange.import_rules(root_system(), None, FILE, dry_run=True).added == ["Full"]
    assert not AlertRule.objects.exists()


def test_what_is_exported_can_be_imported() -> None:
    """Into another system, field by field."""
    system, other = root_system(), make_system("other")
    for name in PACKS:
        exchange.install(system, None, name)
    unit = make_unit("u", kind="host", system=system)
    make_unit("u", kind="host", system=other)
    AlertRule.objects.filter(name="Memory short").update(unit=unit)

    found = exchange.import_rules(other, None, exchange.export_rules(system))

    assert found.refused == []
    names = [name for name in exchange.EXPORTED if name != "name"]
    for rule in AlertRule.objects.filter(system=system):
        twin = AlertRule.objects.get(system=other, name=rule.name)
        assert [getattr(rule, name) for name in names] == [getattr(twin, name) for name in names]


@pytest.mark.parametrize("name", list(PACKS))
def test_each_set_is_installed_whole_and_once(name: str) -> None:
    """A set that our own door refuses would be an embarrassment."""
    first, second = (exchange.install(root_system(), None, name) for _ in range(2))

    assert (len(first.added), first.refused) == (len(PACKS[name].rules), [])
    assert second.added == []
    assert {each["reason"].split(":")[0] for each in second.refused} == {"name"}


@pytest.mark.parametrize(
    "text", ["", "[", "5", "groups: 5", "groups: [5]", "rules: 5", "a: &a [1]\nb: *a", "groups: [{rules: [5]}]"]
)
def test_what_is_no_rule_file_is_refused(text: str) -> None:
    """With the field, never with a crash."""
    with pytest.raises(Invalid) as caught:
        exchange.import_rules(root_system(), None, text)

    assert caught.value.field == "text"


def test_rules_that_make_no_sense_are_refused_one_by_one() -> None:
    """Of hostile files too."""
    given = [{"name": 5}, {"threshold": "x", "name": "a", "metric": "m"}, {"name": "b", "created_by": 1}, {}]

    found = exchange.import_rules(root_system(), None, yaml.safe_dump({"rules": given}))

    assert (found.added, len(found.refused)) == ([], 4)


def test_a_whole_file_changes_what_it_names_or_nothing() -> None:
    """What would change is said field by field, and one mistake, named with its line, keeps all of it out."""
    system = root_system()
    exchange.import_rules(
        system, None, "rules:\n- {name: a, metric: m, threshold: 1}\n- {name: b, metric: m, threshold: 1}"
    )
    text = (
        exchange.export_rules(system).replace("threshold: 1.0", "threshold: 2.0", 1)
        + "- name: c\n  metric: m\n  threshold: 3\n"
    )

    tried = exchange.import_rules(system, None, text, dry_run=True, whole=True)
    broken = exchange.import_rules(system, None, text.replace("threshold: 3", "threshold: x"), whole=True)
    before = list(AlertRule.objects.values_list("name", "threshold", "version"))
    kept = exchange.import_rules(system, None, text, whole=True)

    assert (tried.added, tried.changed, tried.unchanged) == (["c"], {"a": {"threshold": [1.0, 2.0]}}, ["b"])
    assert (tried.kept, broken.kept, kept.kept) == (False, False, True)
    assert [(each["name"], text.splitlines()[each["line"] - 1]) for each in broken.refused] == [("c", "  threshold: 3")]
    assert before == [("a", 1.0, 1), ("b", 1.0, 1)]
    assert list(AlertRule.objects.values_list("name", "threshold", "version")) == [
        ("a", 2.0, 2), ("b", 1.0, 1), ("c", 3.0, 1),
    ]  # fmt: skip


def test_the_api_imports_exports_and_installs() -> None:
    """For programs and for the pages."""
    client = APIClient()
    client.force_authenticate(make_user(role="operator"))

    installed = client.post("/api/v1/alert-rules/install/", {"name": "hosts"}, format="json")
    exported = client.get("/api/v1/alert-rules/export/").json()["text"]
    imported = client.post("/api/v1/alert-rules/import/", {"text": exported, "dry_run": True}, format="json")
    missing = client.post("/api/v1/alert-rules/install/", {"name": "nope"}, format="json")

    assert (installed.status_code, len(installed.json()["added"])) == (200, len(PACKS["hosts"].rules))
    assert len(imported.json()["refused"]) == len(PACKS["hosts"].rules)
    assert missing.status_code == 404
    assert {pack["name"] for pack in client.get("/api/v1/alert-rules/starters/").json()} == set(PACKS)


def test_a_reader_imports_nothing() -> None:
    """Roles hold here as everywhere."""
    client = APIClient()
    client.force_authenticate(make_user(role="viewer"))

    assert client.post("/api/v1/alert-rules/import/", {"text": FILE}, format="json").status_code == 403
    assert client.post("/api/v1/alert-rules/install/", {"name": "hosts"}, format="json").status_code == 403
