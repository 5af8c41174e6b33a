"""The doors to what runs workers. Each is the same small port; nothing here knows the database."""

from __future__ import annotations

from collections.abc import Mapping

from subsystems.s3_control.launching.adapters.base import Actuator, Processes, Surroundings
from subsystems.s3_control.launching.configs import (
    CONFIGS,
    Config,
    DockerConfig,
    KubernetesConfig,
    SubprocessConfig,
    SystemdConfig,
)

__all__ = ["CONFIGS", "Actuator", "Processes", "Surroundings", "actuator_of"]
TITLES: Mapping[str, str] = {
    "subprocess": "Processes of this machine",
    "systemd": "systemd units",
    "docker": "Docker containers",
    "kubernetes": "Kubernetes pods",
}


def actuator_of(launcher: str, config: Config, around: Surroundings) -> Actuator:
    """Return what starts and stops the workers of *launcher*. Only the kind that is used is imported."""
    if isinstance(config, SubprocessConfig):
        from subsystems.s3_control.launching.adapters.subprocesses import Subprocesses

        return Subprocesses(launcher, config, around)
    if isinstance(config, SystemdConfig):
        from subsystems.s3_control.launching.adapters.systemd import Systemd

        return Systemd(launcher, config, around)
    if isinstance(config, DockerConfig):
        from subsystems.s3_control.launching.adapters.docker import Docker

        return Docker(launcher, config, around)
    assert isinstance(config, KubernetesConfig)
    from subsystems.s3_control.launching.adapters.kubernetes import Kubernetes

    return Kubernetes(launcher, config, around)
