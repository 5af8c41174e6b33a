"""The pods of a Deployment or a StatefulSet, through its Scale subresource (kubernetes.io: apps/v1, autoscaling/v1)."""

from __future__ import annotations

import re
import ssl
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from subsystems.s3_control.launching.adapters.base import LauncherRefuses, Surroundings
from subsystems.s3_control.launching.adapters.http import Api, Conflict, Missing, NotAllowed
from subsystems.s3_control.launching.configs import KubernetesConfig
from subsystems.s3_control.launching.sizes import FAILED, RUNNING, STARTING, STOPPING, Instance, here

IN_CLUSTER = "https://kubernetes.default.svc"
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
MERGE = "application/merge-patch+json"
# Of pods that are ready the one with the lowest cost leaves first.
COST, FIRST = "controller.kubernetes.io/pod-deletion-cost", "-1000"
HOPELESS = {"CrashLoopBackOff", "ImagePullBackOff", "ErrImagePull", "InvalidImageName", "CreateContainerConfigError"}
_ORDINAL = re.compile(r"-(\d+)$")


class Kubernetes:
    """The pods of one launcher."""

    def __init__(self, launcher: str, config: KubernetesConfig, around: Surroundings) -> None:
        self._config, self._around = config, around

    def observe(self) -> list[Instance]:
        cluster = self._cluster()
        selector = (cluster("GET", self._scale).get("status") or {}).get("selector", "")
        pods = cluster("GET", f"{self._core}/pods", params={"labelSelector": selector})
        return [self._instance(pod) for pod in pods.get("items", []) if _phase(pod) not in ("Succeeded", "Failed")]

    def refusal(self) -> str:
        """Say who else writes the size; a cluster that does not let us look is taken at its word."""
        namespace = f"/apis/autoscaling/v2/namespaces/{self._config.namespace}"
        try:
            found = self._cluster()("GET", f"{namespace}/horizontalpodautoscalers")
        except (NotAllowed, Missing):
            return ""
        for each in found.get("items", []):
            target = each["spec"]["scaleTargetRef"]
            if (target["kind"].lower(), target["name"]) == (self._config.workload, self._config.name):
                return f"The HorizontalPodAutoscaler {each['metadata']['name']} writes its size: one writer at a time."
        return ""

    def fresh(self, seen: Sequence[Instance], count: int) -> list[str]:
        return []

    def leaving(self, seen: Sequence[Instance], count: int) -> list[Instance]:
        """Of a StatefulSet the highest ordinals leave, whatever is asked; of a Deployment whoever costs least."""
        if self._config.workload == "deployment":
            return here(seen)
        return sorted(here(seen), key=lambda each: _ordinal(each.name))[-count:]

    def start(self, names: Sequence[str], size: int) -> None:
        self._resize(size)

    def stop(self, names: Sequence[str], size: int) -> None:
        cluster = self._cluster()
        for name in names if self._config.workload == "deployment" else ():
            with suppress(Missing):
                cost = {"metadata": {"annotations": {COST: FIRST}}}
                cluster("PATCH", f"{self._core}/pods/{name}", body=cost, content_type=MERGE)
        self._resize(size)

    def words(self, verb: str, names: Sequence[str], size: int) -> list[str]:
        costs = [f"PATCH {self._core}/pods/{name}: {COST}={FIRST}" for name in names]
        scale = f'PATCH {self._scale}: {{"spec": {{"replicas": {size}}}}}'
        return [*(costs if verb == "stop" and self._config.workload == "deployment" else []), scale]

    @property
    def _core(self) -> str:
        return f"/api/v1/namespaces/{self._config.namespace}"

    @property
    def _scale(self) -> str:
        return f"/apis/apps/v1/namespaces/{self._config.namespace}/{self._config.workload}s/{self._config.name}/scale"

    def _resize(self, size: int) -> None:
        """Write the size upon the version that was read: what another wrote in between is not written over."""
        cluster = self._cluster()
        now = cluster("GET", self._scale)
        if now["spec"].get("replicas", 0) == size:
            return
        body = {"metadata": {"resourceVersion": now["metadata"]["resourceVersion"]}, "spec": {"replicas": size}}
        try:
            cluster("PATCH", self._scale, body=body, content_type=MERGE)
        except Conflict:
            raise LauncherRefuses("Somebody else changed its size at this moment: one writer at a time.") from None

    def _cluster(self) -> Api:
        config = self._config
        if config.server:
            authority = self._around.credential(config.ca) if config.ca else None
            token = self._around.credential(config.token)
            return Api("Kubernetes", url=config.server, tls=_trust(cadata=authority), token=token)
        try:
            token = (ACCOUNT / "token").read_text().strip()  # read anew each time: the cluster renews it
            return Api("Kubernetes", url=IN_CLUSTER, tls=_trust(cafile=str(ACCOUNT / "ca.crt")), token=token)
        except OSError:
            raise LauncherRefuses("The platform runs in no cluster: name a server and a token.") from None

    def _instance(self, pod: dict[str, Any]) -> Instance:
        name = str(pod["metadata"]["name"])
        state, detail = _judged(pod)
        return Instance(name, self._config.node_of(name, self._around.host), state, detail)


def _trust(*, cafile: str | None = None, cadata: str | None = None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=cafile, cadata=cadata)
    except ssl.SSLError:
        raise LauncherRefuses("The certificate of the cluster's authority cannot be read.") from None


def _judged(pod: dict[str, Any]) -> tuple[str, str]:
    if pod["metadata"].get("deletionTimestamp"):
        return STOPPING, "Terminating"
    waiting = [
        (each.get("state") or {}).get("waiting", {}).get("reason", "")
        for each in pod.get("status", {}).get("containerStatuses", [])
    ]
    hopeless = sorted(HOPELESS & set(waiting))
    if hopeless:
        return FAILED, hopeless[0]
    return (RUNNING if _phase(pod) == "Running" else STARTING), _phase(pod)


def _phase(pod: dict[str, Any]) -> str:
    return str(pod.get("status", {}).get("phase", "Unknown"))


def _ordinal(name: str) -> int:
    found = _ORDINAL.search(name)
    return int(found[1]) if found else -1
