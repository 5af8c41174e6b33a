"""Launchers against fakes that speak the documented APIs: Docker, systemd and Kubernetes do not run here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from subsystems.kernel.errors import Invalid
from subsystems.s3_control.launching import sizes
from subsystems.s3_control.launching.adapters import Actuator, Surroundings, actuator_of
from subsystems.s3_control.launching.adapters.base import LauncherRefuses, LauncherUnreachable
from subsystems.s3_control.launching.configs import checked
from tests.support.launchers_fake import cluster_with, engine_at, fake_systemctl

Make = Callable[..., Actuator]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(kind: str, *, secrets: dict[str, str] | None = None, **config: Any) -> Actuator:
        around = Surroundings(
            "box", tmp_path, 3, "launcher-1", (secrets or {}).__getitem__, systemctl=str(tmp_path / "systemctl")
        )
        return actuator_of("shop", checked(kind, config), around)

    return made


def names(actuator: Actuator) -> list[str]:
    return [each.name for each in sizes.here(actuator.observe())]


def test_containers_are_made_like_the_template_and_only_ours_are_stopped(make: Make, tmp_path: Path) -> None:
    """Starting twice makes one; a name that is somebody else's is refused; the template is never touched."""
    actuator = make("docker", template="shop-worker-1", socket=str(tmp_path / "sock"))
    with engine_at(tmp_path / "sock") as engine:
        wanted = actuator.fresh(actuator.observe(), 2)
        for _ in range(2):
            actuator.start(wanted, 2)
        seen = actuator.observe()
        made = engine.containers["shop-0001"]
        actuator.stop(["shop-0001", "shop-worker-1"], 1)
        left = names(actuator)
        engine.containers["shop-0003"] = {"Config": {}, "State": "running"}
        with pytest.raises(LauncherRefuses, match="has not made"):
            actuator.start(["shop-0003"], 2)
        said = actuator.words("start", wanted, 2)

    assert [(each.name, each.node, each.state) for each in seen] == [
        ("shop-0001", "celery@shop-0001", "running"), ("shop-0002", "celery@shop-0002", "running"),
    ]  # fmt: skip
    assert (made["Config"]["Image"], made["Config"]["Hostname"], made["HostConfig"]["PortBindings"]) == (
        "shop:1", "shop-0001", {},
    )  # fmt: skip
    assert made["Config"]["NetworkingConfig"] == {"EndpointsConfig": {"shop_default": {}}}
    assert (left, engine.containers["shop-worker-1"]["State"]) == (["shop-0002"], "running")
    assert "secret" not in str(said)
    with pytest.raises(LauncherUnreachable):
        actuator.observe()


def test_pods_leave_in_the_order_in_which_they_were_drained(make: Make, tmp_path: Path) -> None:
    """The size is written upon the version that was read; an autoscaler of the cluster is not written against."""
    secrets = {"env:TOKEN": "t0ken", "file:ca.crt": ""}
    with cluster_with(tmp_path) as (cluster, server):
        secrets["file:ca.crt"] = (tmp_path / "ca.crt").read_text()
        where = {"name": "shop", "namespace": "prod", "server": server, "token": "env:TOKEN", "ca": "file:ca.crt"}
        actuator = make("kubernetes", secrets=secrets, **where)
        first, second = names(actuator)
        actuator.stop([second], 1)
        left = names(actuator)
        actuator.start([], 3)
        actuator.start([], 3)
        grown, patches = names(actuator), sum(each.startswith("PATCH") for each in cluster.asked)
        cluster.pods[first]["status"]["containerStatuses"] = [{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}]
        looping = actuator.observe()[0].state
        free = actuator.refusal()
        target = {"kind": "Deployment", "name": "shop"}
        cluster.autoscalers = [{"metadata": {"name": "hpa"}, "spec": {"scaleTargetRef": target}}]
        taken = actuator.refusal()
        cluster.forbids_autoscalers = True
        blind = actuator.refusal()
        cluster.token = "another"
        with pytest.raises(LauncherRefuses, match="401: Unauthorized"):
            actuator.observe()

    assert (left, len(grown), patches, looping) == ([first], 3, 3, "failed")
    assert (free, blind, "one writer" in taken) == ("", "", True)


def test_a_size_that_another_wrote_meanwhile_is_not_written_over(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kubectl scale, between our look and our word."""
    with cluster_with(tmp_path) as (cluster, server):
        secrets = {"env:TOKEN": "t0ken", "file:ca.crt": (tmp_path / "ca.crt").read_text()}
        where = {"name": "shop", "namespace": "prod", "server": server, "token": "env:TOKEN", "ca": "file:ca.crt"}
        actuator = make("kubernetes", secrets=secrets, **where)
        scale = cluster._scale

        def raced(method: str, body: Any) -> Any:
            answer = scale(method, body)
            if method == "GET":
                cluster.resize(5)
            return answer

        monkeypatch.setattr(cluster, "_scale", raced)
        with pytest.raises(LauncherRefuses, match="one writer"):
            actuator.start([], 3)
        assert cluster.replicas == 5


def test_units_are_started_by_their_numbers(make: Make, tmp_path: Path) -> None:
    """By an argument list, without a shell and without a question for a password."""
    fake_systemctl(tmp_path)
    actuator = make("systemd", unit="shop-worker@.service")

    actuator.start(actuator.fresh(actuator.observe(), 2), 2)
    up = sizes.here(actuator.observe())
    actuator.stop(["0001"], 1)

    assert [(each.name, each.node, each.state) for each in up] == [
        ("0001", "worker-0001@box", "running"), ("0002", "worker-0002@box", "running"),
    ]  # fmt: skip
    assert names(actuator) == ["0002"]
    asked = (tmp_path / "asked").read_text().splitlines()
    assert "--no-ask-password --no-pager start --no-block -- shop-worker@0001.service shop-worker@0002.service" in asked
    with pytest.raises(LauncherRefuses, match="Unit not found"):
        make("systemd", unit="other@.service").observe()


@pytest.mark.parametrize(
    ("kind", "config", "field"),
    [
        pytest.param("magic", {}, "kind", id="kind"),
        pytest.param("subprocess", {"argv": ["celery", "{node}"]}, "config.argv", id="a program to be searched for"),
        pytest.param("subprocess", {"argv": ["/usr/bin/celery"]}, "config.argv", id="workers without names"),
        pytest.param("subprocess", {"argv": "/bin/sh -c {node}"}, "config.argv", id="a line for a shell"),
        pytest.param(
            "subprocess", {"argv": ["/c", "{node}"], "credentials": {"A": "hunter2"}}, "config.credentials.A",
            id="a secret in clear",
        ),
        pytest.param(
            "subprocess", {"argv": ["/c", "{node}"], "credentials": {"A": "file:../secret_key"}},
            "config.credentials.A", id="a file elsewhere",
        ),
        pytest.param("systemd", {"unit": "sshd.service"}, "config.unit", id="a unit that is no template"),
        pytest.param("docker", {"template": "a/../b"}, "config.template", id="a path in a name"),
        pytest.param("docker", {"template": "a", "node": "celery@x"}, "config.node", id="one name for all"),
        pytest.param("kubernetes", {"name": "a", "server": "http://h", "token": "env:T"}, "config", id="no TLS"),
        pytest.param("kubernetes", {"name": "a", "server": "https://h"}, "config", id="no token"),
    ],
)  # fmt: skip
def test_what_could_harm_is_refused_at_the_door(kind: str, config: Any, field: str) -> None:
    """By its field, and without repeating what was typed: it may be a secret."""
    with pytest.raises(Invalid) as refused:
        checked(kind, config)

    assert refused.value.field == field
    assert "hunter2" not in refused.value.detail
