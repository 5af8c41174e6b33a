"""Asking over the API: many questions at once, groups, rates, quantiles, files."""

from __future__ import annotations

import io
import time

import pyarrow.parquet as pq
import pytest
from channels.db import database_sync_to_async
from django.db import connection
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext

from subsystems.recursion.queries import root_system
from subsystems.telemetry import tiers
from subsystems.telemetry.samples import Sample
from subsystems.telemetry.services import record
from tests.support.factories import make_user

pytestmark = pytest.mark.django_db
URL = "/api/v1/query/"


@pytest.fixture
def client(client: Client) -> Client:
    root_system()
    client.force_login(make_user(superuser=True))
    return client


@pytest.fixture
def start() -> float:
    """Two queues of two hosts: a counter that rises by 5 each 5 s, reset after half a minute."""
    at = time.time() // 60 * 60 - 600
    for host in ("a", "b"):
        for queue in ("mail", "sms"):
            values = [100.0 + 5 * n if n < 6 else 5.0 * (n - 5) for n in range(13)]
            samples = [Sample("done", at + 5 * n, value, {"queue": queue}) for n, value in enumerate(values)]
            record({host: samples}, system_id=root_system().pk)
    return at


def ask(client: Client, **fields: object) -> dict[str, object]:
    answer = client.get(URL, fields)
    assert answer.status_code == 200, answer.content
    return answer.json()


def values(body: dict) -> dict[tuple[str, str], list[float]]:
    return {
        (line["source"], line["labels"].get("queue", "")): [value for _, value in line["points"]]
        for line in body["series"]
    }


def test_a_rate_survives_a_restart(client: Client, start: float) -> None:
    """Five each five seconds, also where the counter began again."""
    body = ask(client, metric="done", agg="rate", step=60, **{"from": start, "to": start + 60})

    assert values(body)["a", "mail"][0] == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(
    ("group_by", "expected"),
    [
        ("", {("", ""): 4}),
        ("queue", {("", "mail"): 2, ("", "sms"): 2}),
        ("source", {("a", ""): 2, ("b", ""): 2}),
        ("source,queue", {("a", "mail"): 1, ("a", "sms"): 1, ("b", "mail"): 1, ("b", "sms"): 1}),
    ],
)
def test_series_are_put_together_by_what_they_share(
    client: Client, start: float, group_by: str, expected: dict[tuple[str, str], int]
) -> None:
    """One line per queue over all hosts is what a dashboard shows."""
    body = ask(client, metric="done", agg="count", step=3600, group_by=group_by, **{"from": start})

    assert {name: sum(counts) for name, counts in values(body).items()} == {
        name: 13 * n for name, n in expected.items()
    }


def test_patterns_choose_series(client: Client, start: float) -> None:
    """Some queues of some hosts."""
    body = ask(client, metric="done", match="queue=m*,source!=b", **{"from": start})

    assert list(values(body)) == [("a", "mail")]


def test_quantiles_are_of_the_samples_while_they_are_hot(client: Client, start: float) -> None:
    """And say that they are exact."""
    body = ask(client, metric="done", agg="quantile", q=1, step=3600, group_by="", **{"from": start})

    assert max(values(body)["", ""]) == 125.0
    assert body["exact"] is True


def test_all_panels_of_a_dashboard_are_one_request(client: Client, start: float) -> None:
    """Fifty panels cost as many database queries as two."""
    panel = {"metric": "done", "from": start, "to": start + 600, "step": 60}
    counts = []
    for n in (2, 50):
        asked = {"queries": [{**panel, "agg": agg} for agg in ["avg", "max"] * (n // 2)]}
        with CaptureQueriesContext(connection) as captured:
            answer = client.post(URL, asked, content_type="application/json")
        assert answer.status_code == 200, answer.content
        assert len(answer.json()["results"]) == n
        counts.append(len(captured))

    assert counts[0] == counts[1]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"agg": "p100"}, "queries.1.agg"),
        ({"agg": "quantile", "q": 2}, "queries.1.q"),
        ({"step": 0}, "queries.1.step"),
        ({"from": 5, "to": 4}, "queries.1.from"),
        ({"from": 0, "step": 1}, "queries.1.step"),
        ({"group_by": "a b"}, "queries.1.group_by"),
        ({"match": "queue"}, "queries.1.match"),
        ({"labels": [1]}, "queries.1.labels"),
        ({"system": "nope"}, "queries.1.system"),
        ({"metric": None}, "queries.1.metric"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_wrong_one_among_many_is_named(client: Client, wrong: dict[str, object], field: str) -> None:
    """Which panel, and which field of it."""
    asked = {"queries": [{"metric": "done"}, {"metric": "done", **wrong}]}

    answer = client.post(URL, asked, content_type="application/json")

    assert answer.status_code == 400, answer.content
    assert answer.json()["errors"][0]["field"] == field


@pytest.mark.parametrize("body", [[], {}, {"queries": []}, {"queries": 1}, {"queries": [{"metric": "m"}] * 101}])
def test_a_batch_of_the_wrong_shape_is_refused(client: Client, body: object) -> None:
    """A clear answer, never a mistake of ours."""
    assert client.post(URL, body, content_type="application/json").status_code == 400


def export(client: Client, **fields: object) -> bytes:
    answer = client.get("/api/v1/export/", {"metric": "done", **fields})
    assert answer.status_code == 200, answer.content
    return b"".join(answer.streaming_content)


def test_samples_leave_as_csv(client: Client, start: float) -> None:
    """One row for each, names in front."""
    lines = export(client, **{"from": start, "to": start + 60, "source": "a"}).decode().splitlines()

    assert lines[0] == "system,source,metric,labels,at,count,sum,min,max,last"
    assert len(lines) == 1 + 2 * 13
    assert lines[1].split(",")[:3] == ["main", "a", "done"]
    assert lines[1].endswith(",1,100,100,100,100")


def test_roll_ups_leave_as_parquet(client: Client, start: float) -> None:
    """For the tools of those who compute."""
    tiers.roll_up(now=start + 300)

    found = pq.read_table(io.BytesIO(export(client, **{"as": "parquet", "from": start, "step": 60}))).to_pylist()

    assert len(found) == 8
    assert found[0]["count"] == 12
    assert found[0]["labels"] == 'queue="mail"'


async def test_the_asynchronous_server_sends_while_it_reads(async_client: AsyncClient, transactional_db: None) -> None:
    """It would collect a plain iterator whole before the first byte."""
    await database_sync_to_async(root_system)()
    user = await database_sync_to_async(make_user)(superuser=True)
    await async_client.aforce_login(user)

    answer = await async_client.get("/api/v1/export/?metric=done")

    assert [block async for block in answer.streaming_content][0].startswith(b"system,")


@pytest.mark.parametrize(
    "query", ["", "metric=m&as=xml", "metric=m&from=2&to=1", "metric=m&match=x", "metric=m&step=0"]
)
def test_an_export_that_cannot_be_made_is_refused_before_it_begins(client: Client, query: str) -> None:
    """A broken file is worse than none."""
    assert client.get(f"/api/v1/export/?{query}").status_code == 400
