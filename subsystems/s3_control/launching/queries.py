"""Launchers as JSON, which workers they have, and who may write one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from subsystems.kernel.errors import Invalid, Refused
from subsystems.kernel.times import moment_text
from subsystems.recursion.models import ApiToken
from subsystems.recursion.queries import ROOT_SLUG, Principal, systems_for
from subsystems.s1_operations.models import Fleet
from subsystems.s3_control.launching import sizes, store
from subsystems.s3_control.launching.adapters.base import LauncherUnreachable
from subsystems.s3_control.launching.configs import checked
from subsystems.s3_control.launching.models import Launcher


def may_write(user: Principal, token: ApiToken | None = None) -> bool:
    """Return whether *user* may write launchers: what they start runs with the platform's own rights."""
    return systems_for(user, "admin", token).filter(slug=ROOT_SLUG).exists()


def launcher_body(row: Launcher, *, whole: bool = False) -> dict[str, Any]:
    """Return a launcher; its secrets are names, and only who may write it sees the values of its environment."""
    return {
        "id": row.pk, "fleet": row.fleet.name, "name": row.name, "kind": row.kind, "enabled": row.enabled,
        "queues": row.queues, "slots": row.slots, "least": row.least, "most": row.most,
        "start_seconds": row.start_seconds, "config": row.config if whole else shown(row.config),
        "changed_by": row.changed_by, "changed_at": moment_text(row.changed_at),
    }  # fmt: skip


def shown(config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration without the values of its environment: somebody may have put a secret there."""
    return {**config, "environment": dict.fromkeys(config["environment"], "…")} if "environment" in config else config


@dataclass(frozen=True)
class Seen:
    """What a launcher has now; *trouble* says why nobody knows."""

    instances: tuple[sizes.Instance, ...] = ()
    trouble: str = ""

    @property
    def size(self) -> int | None:
        return None if self.trouble else len(sizes.here(self.instances))

    def body(self) -> dict[str, Any]:
        return {"size": self.size, "trouble": self.trouble, "workers": [each.body() for each in self.instances]}


def seen_now(row: Launcher) -> Seen:
    """Ask what runs the workers; it may take seconds."""
    try:
        found = store.actuator(row).observe()
    except (Refused, LauncherUnreachable) as error:
        return Seen(trouble=str(error))
    return Seen(tuple(each for each in found if each.state != sizes.ENDED))


def supplies(fleet: Fleet, nodes: Iterable[str]) -> list[sizes.Supply]:
    """Return the launchers of a fleet that may be used, with how many of *nodes* are theirs."""
    names = list(nodes)
    found = []
    for row in Launcher.objects.filter(fleet=fleet, enabled=True):
        pattern = names_of(row)
        running = sum(fnmatchcase(name, pattern) for name in names)
        found.append(sizes.Supply(row.name, tuple(row.queues), row.slots, running, row.least, row.most))
    return found


def launcher_of(fleet: Fleet, node: str) -> Launcher | None:
    """Return the launcher whose worker *node* is, by its name; None where nobody here started it."""
    rows = Launcher.objects.filter(fleet=fleet)
    return next((row for row in rows if fnmatchcase(node, names_of(row))), None)


def names_of(row: Launcher) -> str:
    """Return the pattern of the names of a launcher's workers; one that fits none where its configuration is broken."""
    try:
        config = checked(row.kind, row.config)
    except Invalid:
        return ""
    return config.node_of(config.instances(row.name), "*")
