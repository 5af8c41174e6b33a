"""Containers like a template, through the Engine API (docs.docker.com/reference/api/engine) on its Unix socket."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from subsystems.s3_control.launching.adapters.base import SECONDS, LauncherRefuses, Surroundings
from subsystems.s3_control.launching.adapters.http import Api, Conflict, Missing
from subsystems.s3_control.launching.configs import DockerConfig
from subsystems.s3_control.launching.sizes import (
    ENDED,
    FAILED,
    RUNNING,
    STARTING,
    STOPPING,
    Instance,
    here,
    next_names,
)

LABEL = "vsm.launcher"
STATES = {
    "running": RUNNING, "created": STARTING, "restarting": FAILED, "removing": STOPPING, "paused": STOPPING,
    "exited": ENDED, "dead": FAILED,
}  # fmt: skip
# What makes a container this very container is not copied from the template.
OWN = ("Hostname", "Domainname", "MacAddress")


class Docker:
    """The containers of one launcher."""

    def __init__(self, launcher: str, config: DockerConfig, around: Surroundings) -> None:
        self._launcher, self._config, self._around = launcher, config, around

    def observe(self) -> list[Instance]:
        return [self._instance(each) for each in self._listed(self._engine())]

    def refusal(self) -> str:
        return ""

    def fresh(self, seen: Sequence[Instance], count: int) -> list[str]:
        return next_names(self._launcher, seen, count)

    def leaving(self, seen: Sequence[Instance], count: int) -> list[Instance]:
        return here(seen)

    def start(self, names: Sequence[str], size: int) -> None:
        engine = self._engine()
        ours = {_name(each): each for each in self._listed(engine)}
        template = engine("GET", f"/containers/{self._config.template}/json")
        for name in names:
            if name in ours and STATES.get(ours[name]["State"]) in (ENDED, FAILED):
                engine("DELETE", f"/containers/{ours.pop(name)['Id']}", params={"force": "true"})
            if name not in ours:
                self._create(engine, name, template)
            engine("POST", f"/containers/{name}/start")  # 304 where it runs already

    def stop(self, names: Sequence[str], size: int) -> None:
        engine = self._engine()
        seconds = self._config.stop_seconds  # the engine itself kills what does not end within it
        for each in self._listed(engine):
            if _name(each) in names:
                engine("POST", f"/containers/{each['Id']}/stop", params={"t": seconds}, seconds=seconds + SECONDS)
                engine("DELETE", f"/containers/{each['Id']}")

    def words(self, verb: str, names: Sequence[str], size: int) -> list[str]:
        if verb == "start":
            return [f"POST /containers/create?name={name} like {self._config.template}, and start" for name in names]
        return [f"POST /containers/{name}/stop?t={self._config.stop_seconds}, and delete" for name in names]

    def _engine(self) -> Callable[..., Any]:
        api = Api("Docker", unix=self._config.socket)
        # The version that this engine speaks: each drops old ones, and a path without any is deprecated.
        version = api("GET", "/version").get("ApiVersion", "1.44")
        return lambda method, path, **options: api(method, f"/v{version}{path}", **options)

    def _listed(self, engine: Any) -> list[dict[str, Any]]:
        filters = json.dumps({"label": [f"{LABEL}={self._around.key}"]})
        found: list[dict[str, Any]] = engine("GET", "/containers/json", params={"all": "true", "filters": filters})
        return found

    def _create(self, engine: Any, name: str, template: dict[str, Any]) -> None:
        config = {key: value for key, value in template["Config"].items() if key not in OWN}
        networks = (template.get("NetworkSettings") or {}).get("Networks") or {}
        body = {
            **config,
            "Hostname": name,
            "Labels": {**(config.get("Labels") or {}), LABEL: self._around.key},
            # A port of the machine is taken by the template already.
            "HostConfig": {**template["HostConfig"], "PortBindings": {}, "AutoRemove": False},
            "NetworkingConfig": {"EndpointsConfig": {network: {} for network in networks}},
        }
        try:
            engine("POST", "/containers/create", params={"name": name}, body=body)
        except Conflict:
            raise LauncherRefuses(f"There is a container {name!r} that this launcher has not made.") from None
        except Missing:
            raise LauncherRefuses(f"The image of {self._config.template} is not there any more.") from None

    def _instance(self, told: dict[str, Any]) -> Instance:
        name = _name(told)
        state = STATES.get(told["State"], ENDED)
        return Instance(name, self._config.node_of(name, self._around.host), state, str(told.get("Status", ""))[:200])


def _name(told: dict[str, Any]) -> str:
    return str(told["Names"][0]).lstrip("/")
