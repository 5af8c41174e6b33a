"""Writing launchers down: who may, what is refused, what nobody is shown."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import pytest
from django.test import Client

from subsystems.event_log.models import PendingEvent
from subsystems.kernel.errors import Refused
from subsystems.recursion.queries import root_system
from subsystems.s1_operations.models import Fleet
from subsystems.s3_control.launching import services, store
from subsystems.s3_control.launching.queries import launcher_of, supplies
from subsystems.s3_control.models import LaunchedProcess, Launcher
from tests.integration.test_api_steering import make_fleet
from tests.integration.test_inbox_pages import logged_in
from tests.support.factories import bearer, make_system, make_token, make_unit, make_user

pytestmark = pytest.mark.django_db
CONFIG = {"argv": [sys.executable, "-c", "pass", "{node}"], "environment": {"MODE": "hunter2"}}


@pytest.fixture(autouse=True)
def _permitted(settings: Any) -> None:
    settings.LAUNCHERS = ["subprocess"]


@pytest.fixture
def fleet() -> Fleet:
    return make_fleet()


def launcher(fleet: Fleet, **fields: Any) -> Launcher:
    return services.save(fleet, {"name": "mail", "kind": "subprocess", "config": CONFIG, **fields}, by="ann")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        pytest.param({"name": "Mail workers"}, "name", id="a name that no container could have"),
        pytest.param({"kind": "docker"}, "kind", id="a kind that the installation does not permit"),
        pytest.param({"least": 3, "most": 2}, "least", id="bounds that cross"),
        pytest.param({"most": 10_000}, "most", id="too many"),
        pytest.param({"slots": True}, "slots", id="a truth for a number"),
        pytest.param({"queues": ["a\nb"]}, "queues", id="a queue that is no name"),
        pytest.param({"config": []}, "config", id="a list for an object"),
    ],
)
def test_a_launcher_that_cannot_work_is_refused_by_its_field(fleet: Fleet, fields: dict[str, Any], field: str) -> None:
    """At the door: later somebody would wait for workers that never come."""
    with pytest.raises(Refused) as refused:
        launcher(fleet, **fields)

    assert refused.value.field == field


def test_who_writes_a_launcher_administers_the_whole_installation(client: Client, fleet: Fleet) -> None:
    """An operator starts and stops within its bounds; what is started has the platform's own rights."""
    admin = bearer(make_token(["read", "operate", "admin"], user=make_user("root", role="admin"))[1])
    tenant = make_system()
    own = make_fleet(tenant, "theirs")
    theirs = bearer(make_token(["read", "operate", "admin"], user=make_user("t", role="admin", system=tenant))[1])
    body = {"fleet": "shop", "name": "mail", "kind": "subprocess", "config": CONFIG, "queues": ["mail"]}

    def send(verb: str, path: str, headers: dict[str, str], data: Any = None) -> Any:
        url = f"/api/v1/launchers/{path}"
        return getattr(client, verb)(url, data, content_type="application/json", headers=headers)

    refused = send("post", "", theirs, {**body, "fleet": own.name})
    made = send("post", "", admin, body)
    path = f"{made.json()['id']}/"
    wrong = send("patch", path, admin, {"config": {"argv": ["/bin/sh"]}})
    changed = send("patch", path, admin, {"most": 9})
    operator = bearer(make_token(["read", "operate"], user=make_user("op", role="operator"))[1])
    seen = client.get(f"/api/v1/launchers/{path}", headers=operator).json()
    workers = client.get(f"/api/v1/launchers/{path}workers/", headers=operator).json()

    assert [refused.status_code, made.status_code, changed.json()["most"]] == [403, 201, 9]
    assert (wrong.status_code, "config.argv" in wrong.content.decode()) == (400, True)
    assert (seen["config"]["environment"], changed.json()["config"]["environment"]) == (
        {"MODE": "…"},
        {"MODE": "hunter2"},
    )
    assert workers == {"size": 0, "trouble": "", "workers": []}
    assert send("delete", path, operator).status_code == 403
    assert client.get(f"/api/v1/launchers/{path}", headers=theirs).status_code == 404
    assert "hunter2" not in json.dumps(list(PendingEvent.objects.values_list("data", flat=True)), default=str)
    assert send("delete", path, admin).status_code == 204


def test_a_launcher_with_processes_keeps_its_name_and_is_not_forgotten(fleet: Fleet) -> None:
    """They would run on, and nobody would know whose they are."""
    row = launcher(fleet)
    LaunchedProcess.objects.create(launcher=row, name="mail-0001", host="elsewhere", pid=os.getpid(), began=0.0)

    with pytest.raises(Refused, match="stop them first"):
        services.drop(row, by="ann")
    for fields in ({"name": "post"}, {"config": {**CONFIG, "node": "{instance}@x"}}):
        with pytest.raises(Refused):
            services.save(fleet, fields, by="ann", launcher=row)
    row.refresh_from_db()
    assert store.actuator(row).refusal().startswith("Its processes run on elsewhere")


def test_secrets_are_named_and_only_what_is_meant_for_it_is_read(settings: Any, tmp_path: Any) -> None:
    """A reference reaches neither the platform's own variables nor other files."""
    settings.CREDENTIALS, settings.CREDENTIALS_DIR = {"BROKER": "amqp://"}, tmp_path / "secrets"
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "token").write_text("t0ken\n")
    (tmp_path / "other").write_text("x")

    assert [store.credential(each) for each in ("env:BROKER", "file:token")] == ["amqp://", "t0ken"]
    for reference in ("env:VSM_SECRET_KEY", "file:../other", "file:missing"):
        with pytest.raises(Refused):
            store.credential(reference)


def test_which_of_the_workers_are_a_launchers_is_told_by_their_names(fleet: Fleet) -> None:
    """Without asking what runs them, each ten seconds."""
    launcher(fleet, queues=["mail"], slots=2)

    (found,) = supplies(fleet, ["mail-0001@a", "mail-0002@b", "mailer-0001@a", "celery@a"])

    assert (found.running, found.slots, found.queues) == (2, 2, ("mail",))
    assert launcher_of(fleet, "mailer-0001@a") is None
    unit = make_unit("shop/mail-0001@a", kind="celery_worker", fleet=fleet)
    assert "Started and stopped by" in logged_in().get(f"/dashboard/units/{unit.pk}/").content.decode()


def test_the_pages_say_what_there_is_and_what_is_wrong(fleet: Fleet, settings: Any) -> None:
    """Empty, permitted or not, added, mistaken, rehearsed beyond its bounds, deleted; a reader changes nothing."""
    root_system()
    admin, viewer = logged_in("admin"), logged_in("viewer")
    settings.LAUNCHERS = []
    forbidden = admin.get("/dashboard/launchers/").content.decode()
    settings.LAUNCHERS = ["subprocess"]
    given = {"fleet": fleet.pk, "name": "mail", "kind": "subprocess", "queues": "mail, post", "slots": 1, "least": 0,
             "most": 2, "start_seconds": 5, "enabled": "on", "config": json.dumps(CONFIG)}  # fmt: skip
    wrong = admin.post("/dashboard/launchers/", {**given, "config": '{"argv": ["sh"]}'})
    added = admin.post("/dashboard/launchers/", given)
    row = Launcher.objects.get()
    path = f"/dashboard/launchers/{row.pk}/"
    shown = admin.get(path).content.decode()
    read = viewer.get(path).content.decode()
    beyond = admin.post(f"{path}act/", {"kind": "worker.start", "start-workers": 3, "dry_run": "1"})
    too_many = admin.post(f"{path}act/", {"kind": "worker.start", "start-workers": 3})

    assert "VSM_LAUNCHERS" in forbidden
    assert (wrong.status_code, "config.argv" in wrong.content.decode(), added.status_code) == (400, True, 302)
    assert ("None of its workers runs now" in shown, "hunter2" in shown, row.queues) == (True, True, ["mail", "post"])
    assert ("hunter2" in read, viewer.post(path, given).status_code) == (False, 403)
    assert beyond.status_code == 302
    assert (too_many.status_code, "2 are the most" in too_many.content.decode()) == (400, True)
    assert [logged_in("operator").post(f"{path}drop/").status_code, admin.post(f"{path}drop/").status_code] == [
        403,
        302,
    ]
    assert not Launcher.objects.exists()
