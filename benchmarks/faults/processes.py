"""The processes of a run, as a supervisor keeps them: what dies is started again, and can be killed or paused."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
PYTHON = sys.executable
CELERY = [PYTHON, "-W", "ignore::RuntimeWarning:celery.platforms", "-m", "celery", "-q", "-A"]
CHANNELS = "default,collect,command,coordination,audit,resource_bargain,homeostat"
RESTART_SECONDS = 0.3
STOP_SECONDS = 5.0
Command = Callable[[int], Sequence[str]]  # of how many times it was started before: a node's name must be new


@dataclass
class Supervised:
    """One process, and how to start it."""

    name: str
    command: Command
    starts: int = 0
    process: subprocess.Popen[bytes] | None = None


class Supervisor:
    """Keeps processes running until `stop`."""

    def __init__(self, environment: Mapping[str, str], logs: Path) -> None:
        self._environment, self._logs = dict(environment), logs
        self._all: dict[str, Supervised] = {}
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start(self, commands: Mapping[str, Command]) -> None:
        for name, command in commands.items():
            self._all[name] = Supervised(name, command)
            self._spawn(self._all[name])
        if not self._watcher.is_alive():
            self._watcher.start()

    def stop(self) -> None:
        """End everything, politely first."""
        self._stopping.set()
        if self._watcher.is_alive():
            self._watcher.join(5)
        for each in self._all.values():
            if each.process is not None and each.process.poll() is None:
                each.process.send_signal(signal.SIGCONT)
                each.process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for each in self._all.values():
            if each.process is not None:
                with suppress(subprocess.TimeoutExpired):
                    each.process.wait(max(0.1, deadline - time.monotonic()))
                each.process.kill()

    def kill(self, name: str) -> None:
        """SIGKILL to the main process alone: its children find out by themselves."""
        process = self._all[name].process
        if process is not None:
            process.kill()

    def signal_children(self, name: str, number: int) -> None:
        """Send a signal to the processes of a pool."""
        process = self._all[name].process
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(process.pid).children() if process else []:
                with suppress(psutil.NoSuchProcess):
                    child.send_signal(number)

    def signal(self, name: str, number: int) -> None:
        process = self._all[name].process
        if process is not None and process.poll() is None:
            process.send_signal(number)

    def names(self) -> list[str]:
        return list(self._all)

    def starts(self) -> dict[str, int]:
        return {each.name: each.starts for each in self._all.values()}

    def _watch(self) -> None:
        while not self._stopping.wait(RESTART_SECONDS):
            for each in list(self._all.values()):
                if each.process is not None and each.process.poll() is not None and not self._stopping.is_set():
                    self._spawn(each)

    def _spawn(self, each: Supervised) -> None:
        each.starts += 1
        with (self._logs / f"{each.name}.log").open("ab") as log:
            each.process = subprocess.Popen(
                list(each.command(each.starts)), cwd=ROOT, env=self._environment, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log,
            )  # fmt: skip


def platform(*, workers: int = 2, whole: bool = True) -> dict[str, Command]:
    """Return the platform's own processes, without those that show and collect; the *whole* has two relays and beat."""
    found: dict[str, Command] = {
        f"relay-{n}": lambda _: [PYTHON, "manage.py", "relay"] for n in range(1, 3 if whole else 2)
    }
    found["worker"] = _worker("vsm_site", "worker", CHANNELS, workers)
    found["algedonic"] = _worker("vsm_site", "algedonic", "algedonic", 1)
    if whole:
        found["beat"] = lambda _: [*CELERY, "vsm_site", "beat", "-l", "WARNING", "--pidfile="]
    return found


def control() -> dict[str, Command]:
    return {"control": _worker("benchmarks.faults.control", "control", "", 2)}


def _worker(application: str, name: str, queues: str, processes: int) -> Command:
    chosen = ["-Q", ",".join(f"vsm.{queue}.v1" for queue in queues.split(",")), "--prefetch-multiplier", "1"]

    def command(starts: int) -> list[str]:
        node = f"{name}-{starts}@faults"  # a killed worker's mailbox may still stand on the broker
        return [
            *CELERY, application, "worker", "-l", "WARNING", "-n", node, "-c", str(processes),
            *(chosen if queues else []), "--without-gossip", "--without-mingle",
        ]  # fmt: skip

    return command
