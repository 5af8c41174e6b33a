"""Exporting to receivers that others wrote: what they hold is what `/metrics` shows, number by number."""

from __future__ import annotations

import gzip
import math
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.utils import timezone
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from subsystems.health.models import Assessment
from subsystems.recursion.models import System
from subsystems.recursion.queries import root_system
from subsystems.telemetry.exporters import otlp
from subsystems.telemetry.families import Distribution, Family, counter, gauge
from subsystems.telemetry.models import ExportTarget
from tests.support.platform_process import free_port, until
from vsm_site.exporters import services
from vsm_site.exposition.collecting import families

pytestmark = pytest.mark.django_db(transaction=True)
Numbers = dict[tuple[tuple[str, str], ...], float]


def arguments(binary: str, port: int, folder: Path) -> list[str]:
    if binary == "victoria-metrics":
        return [f"-storageDataPath={folder}", f"-httpListenAddr=127.0.0.1:{port}", "-search.latencyOffset=0"]
    (folder / "empty.yml").write_text("{}")
    return [
        f"--config.file={folder}/empty.yml", f"--storage.tsdb.path={folder}/data", "--web.enable-remote-write-receiver",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip


@pytest.fixture(params=["prometheus", "victoria-metrics"])
def elsewhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a receiver of remote write that is not ours."""
    binary = shutil.which(request.param)
    if binary is None:
        pytest.skip(f"{request.param} (Debian's package) is not installed")
    port = free_port()
    process = subprocess.Popen(
        [binary, *arguments(request.param, port, tmp_path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: answers(url), seconds=30, what=f"{request.param} answers")
        yield url
    finally:
        process.terminate()
        process.wait(20)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/v1/query", params={"query": "1"}, timeout=60).status_code == 200
    except httpx.TransportError:
        return False


def held(url: str) -> Numbers:
    """Return the last number of each series that the receiver holds."""
    asked = {"query": '{__name__!=""}', "time": str(time.time())}
    found = httpx.get(f"{url}/api/v1/query", params=asked, timeout=60).json()["data"]["result"]
    return {tuple(sorted(each["metric"].items())): float(each["value"][1]) for each in found}


def shown(exported: Iterable[Family]) -> Numbers:
    """Return the same of what was exported."""
    return {
        tuple(
            sorted({"__name__": part.name, **{k: v for k, v in zip(part.labels, values, strict=True) if v}}.items())
        ): n
        for family in exported
        for part in family.parts()
        for values, n in part.rows
        if math.isfinite(n)
    }


def test_who_is_written_to_holds_what_we_show(elsewhere: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every family and label, the platform's own included."""
    settings.HTTP_ALLOW = ["127.0.0.1"]
    now = timezone.now()
    Assessment.objects.create(
        system=root_system(), slot=int(now.timestamp()), assessed_at=now, score=0.75, status="normal", subsystems={}
    )
    exported = families(System.objects.order_by("slug"), now=now.timestamp())
    monkeypatch.setattr(services, "families", lambda *_, **__: exported)  # a moment later some would be others
    target = ExportTarget(name="elsewhere", kind="remote_write", address=f"{elsewhere}/api/v1/write", prefixes="")
    services.check_target(target, "")
    target.save()

    services.export_due(now=now)

    target.refresh_from_db()
    assert (target.last_error, target.dropped_samples) == ("", 0)
    expected = shown(exported)
    until(lambda: len(held(elsewhere)) >= len(expected), seconds=20, what="what was sent can be asked for")
    assert held(elsewhere) == expected
    assert len(expected) > 30


def test_opentelemetry_reads_what_we_send() -> None:
    """By its own definitions: names, kinds, attributes and numbers."""
    depth, orders = gauge("depth", "How deep", "queue"), counter("orders", "How many", "shop")
    took = Family("took", "histogram", "How long", bounds=(0.5, 1.0))
    depth.add(-1.5, "mail")
    orders.add(7.0, "a b/ü")
    took.distributions.append(((), Distribution((2.0, 5.0, 6.0), 4.5)))
    (payload,) = otlp.payloads([depth, orders, took], now=1_795_165_200.0)

    request = ExportMetricsServiceRequest.FromString(gzip.decompress(payload.body))

    found = {m.name: m for r in request.resource_metrics for s in r.scope_metrics for m in s.metrics}
    point, total, spread = found["depth"].gauge.data_points[0], found["orders_total"].sum, found["took"].histogram
    assert (point.as_double, point.attributes[0].value.string_value) == (-1.5, "mail")
    assert (total.is_monotonic, total.aggregation_temporality, spread.aggregation_temporality) == (True, 2, 2)
    assert (total.data_points[0].as_double, total.data_points[0].attributes[0].value.string_value) == (7.0, "a b/ü")
    assert list(spread.data_points[0].bucket_counts) == [2, 3, 1]
    assert (spread.data_points[0].count, spread.data_points[0].sum) == (6, 4.5)
