"""Every panel and every rule asks for what `/metrics` shows; and a real Prometheus reads it, and is read."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.utils import timezone
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse

from alerts.models import Alert
from subsystems.algedonic.models import CanaryRun, SignalTally
from subsystems.algedonic.services import raise_signal
from subsystems.health import vitals
from subsystems.health.models import Assessment, ScoreSheet
from subsystems.health.scores import DEFINITIONS
from subsystems.health.vitals import Answers, Cycles, FleetAge, Job, SlotMark, UnitCounts
from subsystems.kernel.errors import Refused
from subsystems.kernel.severity import Severity
from subsystems.messaging import limits
from subsystems.messaging.channels import Channel, Party
from subsystems.recursion.queries import root_system
from subsystems.s1_operations.models import CollectionCycle, Fleet
from subsystems.telemetry import services
from subsystems.telemetry.rendering import page
from subsystems.telemetry.samples import Sample
from subsystems.variety import gathering
from subsystems.variety import services as variety
from tests.support.factories import make_message, make_unit
from tests.support.platform_process import ASK_SECONDS, Platform, free_port, until
from tests.support.promql import dashboards, metrics_of, panels, rules
from vsm_site.exposition.collecting import families
from vsm_site.exposition.platform import process

PROMETHEUS, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")
needs_prometheus = pytest.mark.skipif(PROMETHEUS is None, reason="Prometheus (Debian's package) is not installed")
ELSEWHERE = {"up"}  # what Prometheus itself knows of a target


def assess() -> None:
    """Assess the root system from vitals that are all known, under the names that the vitals themselves give."""
    now = time.time()
    found = {
        "s1": vitals.operations(UnitCounts(count=2, known=2, average=0.9)),
        "s2": vitals.coordination(
            [Job("a", 5, int(now) - 300)],
            [SlotMark("a", int(now) - 10, now - 10, now - 9)],
            now=now,
            window_seconds=300,
        ),
        "s3": vitals.control(Cycles(1, 2, 2, now), {"a": {"cpu": 0.5}}),
        "s4": vitals.intelligence(configured=1, heard=1, fleets=[FleetAge("b", False, 0.0)]),
        "s5": vitals.policy(Answers(2, 2, 1)),
    }
    Assessment.objects.create(
        system=root_system(), slot=int(now), assessed_at=timezone.now(), score=0.9, status="normal", overall_health=0.9,
        structural={"score": 0.9}, subsystems={name: vital.to_wire() for name, vital in found.items()},
    )  # fmt: skip
    body = {each.name: {"value": 0.5} for each in DEFINITIONS}
    ScoreSheet.objects.create(system=root_system(), at=timezone.now(), body=body)


def work() -> None:
    """Let units and a fleet do something, some of it wrong."""
    system, now = root_system(), time.time()
    fleet = Fleet.objects.create(system=system, name="shop")
    make_unit("shop/celery@a", kind="celery_worker", fleet=fleet)
    make_unit("shop/orders", kind="celery_queue", fleet=fleet)
    known = {
        "shop/celery@a": {"worker_up": 1.0, "active": 1.0, "processed_total": 5.0, "failed_total": 1.0},
        "shop/orders": {"ready": 3.0, "consumers": 1.0},
    }
    samples = {source: [Sample(name, now, value) for name, value in of.items()] for source, of in known.items()}
    charge = {"operation": "charge"}
    samples["billing"] = [
        Sample("operations_total", now, 5.0, charge),
        Sample("operations_total", now + 600, 5.0, charge),  # refused, and counted
    ]  # fmt: skip
    services.record(samples, system_id=system.pk)


def vary() -> None:
    """Let a unit do several things, so that it has a variety."""
    for name in "abcde" * 5:
        gathering.operation_ended("shop", name, duration_ms=1)
    gathering.flush()
    variety.read_now(now=timezone.now() + timedelta(seconds=15))


def trouble() -> None:
    """Let there be pain, an alert and a refusal."""
    system = root_system()
    raise_signal(type="pain", source="a", severity="critical", system_id=system.pk)
    SignalTally.objects.create(system=system, type="pain", severity="critical", count=1)
    Alert.objects.create(
        system=system, type="rule", title="a", subject="a", fingerprint="a", severity="critical", state="firing"
    )
    make_message(system=system)
    for _ in range(9):
        with suppress(Refused):
            limits.check(Channel.ALGEDONIC, Party.S1, Severity.LOW, system.pk)
    CollectionCycle.objects.create(slot=1, started_at=timezone.now(), duration_ms=5.0, unit_count=2, answered_count=2)


@pytest.fixture
def shown() -> set[str]:
    """The names of a page on which everything is known."""
    now = timezone.now()
    CanaryRun.objects.create(sent_at=now, received_at=now, latency_seconds=0.1)
    assess()
    work()
    vary()
    trouble()
    text = page([*families([root_system()], now=time.time()), *process()]).decode()
    return set(re.findall(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)[ {]", text, re.MULTILINE))


@pytest.mark.django_db
def test_every_panel_and_every_rule_asks_for_what_is_shown(shown: set[str]) -> None:
    """A panel without an answer looks like a system in which nothing happens."""
    asked = {
        (title, name) for each in dashboards().values() for title, query in panels(each) for name in metrics_of(query)
    }
    asked |= {(rule.get("alert", rule.get("record")), name) for rule in rules() for name in metrics_of(rule["expr"])}

    assert {each for each in asked if each[1] not in shown | ELSEWHERE} == set()


class Watched:
    """A platform of its own, with a Prometheus that scrapes it each second and writes what it finds back into it."""

    def __init__(self, platform: Platform, token: str, url: str) -> None:
        self.platform, self.token, self.url = platform, token, url

    def page(self, accept: str = "text/plain") -> str:
        headers = {"Authorization": f"Bearer {self.token}", "Accept": accept}
        answer = httpx.get(f"{self.platform.url}/metrics", headers=headers, timeout=ASK_SECONDS)
        assert answer.status_code == 200
        return answer.text

    def ask(self, query: str) -> list[dict[str, Any]]:
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": query}, timeout=ASK_SECONDS).json()
        assert answer["status"] == "success", (query, answer)
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def lines(self) -> dict[str, float]:
        """Return the numbers of a page as Prometheus asks for it, by name and labels."""
        samples = (sample for family in parse(self.page("application/openmetrics-text")) for sample in family.samples)
        return {spelled(each.name, each.labels): each.value for each in samples}

    def series(self) -> dict[str, str]:
        """Return every series of the platform as Prometheus has it, spelled as on a page."""
        found = {}
        for each in self.ask('{job="vsm"}'):
            labels = {name: value for name, value in each["metric"].items() if name not in {"job", "instance"}}
            found[spelled(labels.pop("__name__"), labels)] = each["value"][1]
        return found


def spelled(name: str, labels: dict[str, str]) -> str:
    return f"{name}{json.dumps(sorted((key, value) for key, value in labels.items() if value))}"


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Iterator[Watched]:
    home = tmp_path_factory.mktemp("platform")
    platform = Platform(home, migrated)
    try:
        with prometheus(platform, home) as found:
            yield found
    finally:
        platform.stop()


@contextmanager
def prometheus(platform: Platform, home: Path) -> Iterator[Watched]:
    """Run a Prometheus that scrapes *platform* every second and writes back to it, until the block ends."""
    port, token = free_port(), platform.token("read", "ingest")
    job = {
        "job_name": "vsm", "scrape_interval": "1s", "authorization": {"credentials": token},
        "static_configs": [{"targets": [f"127.0.0.1:{platform.port}"]}],
    }  # fmt: skip
    back = {"url": f"{platform.url}/api/v1/write", "authorization": {"credentials": token}}
    config = home / "prometheus.yml"
    config.write_text(json.dumps({"scrape_configs": [job], "remote_write": [back]}))  # JSON is YAML
    command = [
        str(PROMETHEUS),
        f"--config.file={config}",
        f"--storage.tsdb.path={home}/tsdb",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (home / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        found = Watched(platform, token, f"http://127.0.0.1:{port}")
        until(lambda: _scraped(found), seconds=120, what="Prometheus has scraped us")
        yield found
    finally:
        process.terminate()
        process.wait(60)


def names_shown(watched: Watched) -> set[str]:
    return {name.partition("[")[0] for name in watched.lines()}


def await_scrape(watched: Watched) -> None:
    """Wait until Prometheus has what the platform shows at this moment."""
    now = time.time()

    def scraped_at() -> float:
        return float(watched.ask('timestamp(up{job="vsm"})')[0]["value"][1])

    until(lambda: scraped_at() > now, seconds=30, what="a scrape")


def _scraped(watched: Watched) -> bool:
    try:
        if not httpx.get(f"{watched.url}/-/ready", timeout=ASK_SECONDS).is_success:
            return False
        return bool(watched.ask("rate(process_cpu_seconds_total[1m])") and watched.ask("vsm_viability_score"))
    except httpx.TransportError:
        return False


@needs_prometheus
@pytest.mark.embedded
def test_prometheus_has_the_numbers_that_we_show(watched: Watched) -> None:
    """Names, labels and values arrive as they are: what two pages agree on, a scrape between them has too."""

    def equal() -> bool:
        before = watched.lines()
        await_scrape(watched)
        found, after = watched.series(), watched.lines()
        meant = {name: value for name, value in before.items() if after.get(name) == value}
        other = {name for name, value in meant.items() if name not in found or float(found[name]) != value}
        return len(meant) > 50 and not other

    until(equal, seconds=90, what="Prometheus has our numbers")


@needs_prometheus
@pytest.mark.embedded
def test_prometheus_answers_every_panel(watched: Watched) -> None:
    """Each query is one that it can compute, and has an answer where its metrics are there already."""
    before = names_shown(watched)
    await_scrape(watched)  # what is shown for the first time just now has an answer only then
    unanswered = []
    for dashboard in dashboards().values():
        for title, query in panels(dashboard):
            chosen = '="' in query  # one channel, one subsystem: it may have nothing to tell yet
            if not chosen and not watched.ask(query):
                unanswered.append((title, query))
    shown = before & names_shown(watched)  # what ended meanwhile, such as the last open signal, has no answer rightly
    empty = [(title, query) for title, query in unanswered if metrics_of(query) <= shown]

    assert empty == []


@needs_prometheus
@pytest.mark.embedded
def test_what_prometheus_writes_back_is_kept(watched: Watched) -> None:
    """Its own remote write, unchanged, through our door; the job is the source."""
    headers = {"Authorization": f"Bearer {watched.token}"}

    def kept() -> bool:
        asked = {"metric": "vsm_viability_score", "source": "vsm", "step": "60"}
        answer = httpx.get(
            f"{watched.platform.url}/api/v1/query/", params=asked, headers=headers, timeout=ASK_SECONDS
        ).json()
        return any(value for series in answer["series"] for _, value in series["points"])

    until(kept, seconds=30, what="what was written back can be asked for")


@needs_prometheus
@pytest.mark.embedded
def test_promtool_finds_nothing_wrong_with_our_names(watched: Watched) -> None:
    """Units, suffixes and help as Prometheus' own checker wants them."""
    assert PROMTOOL is not None
    done = subprocess.run(
        [PROMTOOL, "check", "metrics"], input=watched.page(), capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
