"""Celery workers as processes of this machine: no shell, an environment of their own, and never a stranger's process.

A process outlives the platform: it leads a session of its own, and its number and start are on record. It is taken for
ours only while all three fit: the number, the start, and the worker's name among its arguments.
"""

from __future__ import annotations

import shlex
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from subsystems.s3_control.launching.adapters.base import LauncherRefuses, Process, Processes, Surroundings
from subsystems.s3_control.launching.configs import NODE, SubprocessConfig
from subsystems.s3_control.launching.sizes import FAILED, RUNNING, Instance, here, next_names

SAME_START_SECONDS = 1.0  # a clock that is set moves what the kernel tells a little
PATH = "/usr/local/bin:/usr/bin:/bin"
_children: dict[int, subprocess.Popen[bytes]] = {}  # of this process: whoever started a process hears of its end


class Subprocesses:
    """The processes of one launcher."""

    def __init__(self, launcher: str, config: SubprocessConfig, around: Surroundings) -> None:
        assert around.processes is not None
        self._launcher, self._config, self._around = launcher, config, around
        self._known: Processes = around.processes

    def observe(self) -> list[Instance]:
        return [self._instance(each) for each in self._known.all()]

    def refusal(self) -> str:
        hosts = {each.host for each in self._known.all()} - {self._around.host}
        return f"Its processes run on {', '.join(sorted(hosts))}; this is {self._around.host}." if hosts else ""

    def fresh(self, seen: Sequence[Instance], count: int) -> list[str]:
        return next_names(self._launcher, seen, count)

    def leaving(self, seen: Sequence[Instance], count: int) -> list[Instance]:
        return here(seen)

    def start(self, names: Sequence[str], size: int) -> None:
        for name in names:
            found = next((each for each in self._known.all() if each.name == name), None)
            if found is not None and found.pid is not None and self._process(found) is None:
                self._known.forget(name)  # it ended: its name is free again
                found = None
            if found is None and not self._known.claim(name):
                continue  # somebody else starts it at this moment
            if found is None or found.pid is None:
                # A mark without a number: whoever was to start it may have done so and died before saying it.
                process = self._search(name) or self._spawn(name)
                self._known.note(name, process.pid, process.create_time())

    def stop(self, names: Sequence[str], size: int) -> None:
        for each in self._known.all():
            if each.name not in names:
                continue
            process = self._process(each)
            if process is None:
                self._known.forget(each.name)
            else:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGTERM)  # Celery's warm shutdown

    def words(self, verb: str, names: Sequence[str], size: int) -> list[str]:
        if verb == "start":
            return [shlex.join(self._argv(name)) for name in names]
        return [f"SIGTERM to {name}" for name in names]

    def _argv(self, name: str) -> list[str]:
        return [word.replace(NODE, self._node(name)) for word in self._config.argv]

    def _node(self, name: str) -> str:
        return self._config.node_of(name, self._around.host)

    def _instance(self, each: Process) -> Instance:
        node = self._node(each.name)
        if each.pid is None:
            return Instance(each.name, node, FAILED, "it was about to be started, and nobody lived to say so")
        if self._process(each) is not None:
            return Instance(each.name, node, RUNNING, f"process {each.pid}")
        code = _children[each.pid].returncode if each.pid in _children else None
        ended = "its process has ended" if code is None else f"its process has ended with status {code}"
        return Instance(each.name, node, FAILED, f"{ended}; see {self._log(each.name).name} in launched/")

    def _process(self, each: Process) -> psutil.Process | None:
        """Return the living process that *each* is; None when it has ended, or its number is another's by now."""
        if each.pid is None or each.host != self._around.host:
            return None
        child = _children.get(each.pid)
        if child is not None and child.poll() is not None:
            return None
        try:
            process = psutil.Process(each.pid)
            same = abs(process.create_time() - (each.began or 0.0)) <= SAME_START_SECONDS
            alive = process.status() != psutil.STATUS_ZOMBIE
            return process if same and alive and _is_named(process, self._node(each.name)) else None
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return None

    def _search(self, name: str) -> psutil.Process | None:
        """Return the oldest process of ours with the worker's name among its arguments."""
        node, me = self._node(name), psutil.Process().uids().real
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                if process.uids().real == me and _is_named(process, node):
                    found.append(process)
        return min(found, key=lambda each: each.create_time(), default=None)

    def _spawn(self, name: str) -> psutil.Process:
        config = self._config
        environment = {"PATH": PATH, "LANG": "C.UTF-8", **config.environment}
        environment |= {variable: self._around.credential(each) for variable, each in config.credentials.items()}
        log = self._log(name)
        log.parent.mkdir(parents=True, exist_ok=True)
        try:
            with log.open("wb") as output:
                child = subprocess.Popen(  # noqa: S603  (an argument list that only an administrator can write)
                    self._argv(name), cwd=config.directory or None, env=environment, stdin=subprocess.DEVNULL,
                    stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
                )  # fmt: skip
        except OSError as error:
            self._known.forget(name)
            raise LauncherRefuses(f"{config.argv[0]} cannot be started: {error.strerror}.") from None
        _children[child.pid] = child
        return psutil.Process(child.pid)

    def _log(self, name: str) -> Path:
        return self._around.home / "launched" / f"{self._around.key}-{name}.log"


def _is_named(process: psutil.Process, node: str) -> bool:
    return any(word == node or word.endswith(f"={node}") for word in process.cmdline())
