"""Instances of a systemd template unit, through `systemctl`; its password prompts are off, so that it never waits."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from subsystems.s3_control.launching.adapters.base import (
    SECONDS,
    LauncherRefuses,
    LauncherUnreachable,
    Surroundings,
)
from subsystems.s3_control.launching.configs import SystemdConfig
from subsystems.s3_control.launching.sizes import (
    ENDED,
    FAILED,
    RUNNING,
    STARTING,
    STOPPING,
    Instance,
    here,
    next_names,
    numbered,
)

# systemd's ActiveState (org.freedesktop.systemd1) as a launcher sees it.
STATES = {
    "active": RUNNING, "reloading": RUNNING, "refreshing": RUNNING, "activating": STARTING, "deactivating": STOPPING,
    "inactive": ENDED, "failed": FAILED,
}  # fmt: skip
PROPERTIES = ("Id", "LoadState", "ActiveState", "SubState", "Result")


class Systemd:
    """The units of one launcher."""

    def __init__(self, launcher: str, config: SystemdConfig, around: Surroundings) -> None:
        self._config, self._around = config, around

    def observe(self) -> list[Instance]:
        names = [numbered("", number) for number in range(1, self._around.most + 1)]
        told = self._run("show", f"--property={','.join(PROPERTIES)}", "--", *map(self._unit, names))
        blocks = [_properties(block) for block in told.strip().split("\n\n")]
        by_unit = {block.get("Id", ""): block for block in blocks}
        if any(block.get("LoadState") == "not-found" for block in blocks):
            raise LauncherRefuses(f"systemd knows no unit {self._config.unit}.")
        return [self._instance(name, by_unit.get(self._unit(name), {})) for name in names]

    def refusal(self) -> str:
        return ""

    def fresh(self, seen: Sequence[Instance], count: int) -> list[str]:
        return next_names("", seen, count)

    def leaving(self, seen: Sequence[Instance], count: int) -> list[Instance]:
        return here(seen)

    def start(self, names: Sequence[str], size: int) -> None:
        self._run("start", "--no-block", "--", *map(self._unit, names))

    def stop(self, names: Sequence[str], size: int) -> None:
        self._run("stop", "--no-block", "--", *map(self._unit, names))

    def words(self, verb: str, names: Sequence[str], size: int) -> list[str]:
        return [" ".join([*self._command(verb, "--no-block"), *map(self._unit, names)])]

    def _unit(self, name: str) -> str:
        return self._config.unit.replace("@.", f"@{name}.")

    def _instance(self, name: str, told: dict[str, str]) -> Instance:
        state = STATES.get(told.get("ActiveState", ""), ENDED)
        if told.get("SubState") == "auto-restart":
            state = FAILED  # it ended, and systemd is about to try again
        why = f"{told.get('SubState', '')}: {told.get('Result', '')}" if state == FAILED else told.get("SubState", "")
        return Instance(name, self._config.node_of(name, self._around.host), state, why)

    def _command(self, *words: str) -> list[str]:
        return [self._around.systemctl, *(["--user"] if self._config.user else []), *words]

    def _run(self, *words: str) -> str:
        command = self._command("--no-ask-password", "--no-pager", *words)
        try:
            ran = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)  # noqa: S603
        except subprocess.TimeoutExpired:
            raise LauncherUnreachable(f"systemctl did not answer within {SECONDS:g} s.") from None
        except OSError as error:
            raise LauncherUnreachable(f"systemctl cannot be run: {error.strerror}.") from None
        if ran.returncode:
            raise LauncherRefuses(f"systemctl {words[0]}: {ran.stderr.strip()[:300] or f'status {ran.returncode}'}")
        return ran.stdout


def _properties(block: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
