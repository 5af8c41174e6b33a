"""`make up PROFILE=services`: the platform as separate processes on RabbitMQ, Redis and PostgreSQL.

When one process ends, or Ctrl-C arrives, all of them end: half a platform that looks alive would be worse.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from honcho.manager import Manager

import services

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
QUEUES = "default,collect,command,coordination,audit,resource_bargain,homeostat"


def main() -> int:
    environment = {**os.environ, "VSM_PROFILE": "services", "DJANGO_SETTINGS_MODULE": "vsm_site.settings"}
    try:
        environment |= services.urls()
    except services.Unavailable as error:
        services.say(str(error))
        return 1
    prepared = subprocess.run([PYTHON, "manage.py", "prepare"], cwd=ROOT, env=environment, check=False)
    if prepared.returncode:
        return prepared.returncode
    environment["FLOWER_BASIC_AUTH"] = flower_login(environment)
    manager = Manager()
    for name, command in commands(environment).items():
        manager.add_process(name, "exec " + shlex.join(command), env=environment, cwd=str(ROOT))
    manager.loop()
    return 0 if manager.returncode in {0, 130, 143} else manager.returncode or 1


def commands(environment: dict[str, str]) -> dict[str, list[str]]:
    """Return the command line of each process."""
    host, port = environment.get("VSM_HOST", "127.0.0.1"), environment.get("VSM_PORT", "8000")
    flower_port = environment.get("VSM_FLOWER_PORT", "5555")
    quiet = ["-W", "ignore:You're running the worker"]  # it warns of root at length, once for each process
    celery = [PYTHON, *quiet, "-m", "celery", "-q", "-A", "vsm_site"]
    serve = [PYTHON, "-m", "uvicorn", "vsm_site.asgi:application", "--host", host, "--port", port, "--lifespan", "off"]
    work = [*celery, "worker", "-l", "WARNING", "--prefetch-multiplier", "1"]
    found = {
        "web": [*serve, "--ws", "vsm_site.sockets:WebSockets", "--no-access-log", "--timeout-graceful-shutdown", "1"],
        # Names say the port, so that they are the platform's own on this host and the same after a restart.
        "worker": [*work, "-n", f"worker-{port}@%h", "-Q", _queues(QUEUES), "-c", "4"],
        "algedonic": [*work, "-n", f"algedonic-{port}@%h", "-Q", _queues("algedonic"), "-c", "1"],
        "beat": [*celery, "beat", "-l", "WARNING", "--pidfile="],
        "relay": [PYTHON, "manage.py", "relay"],
        "receiver": [PYTHON, "manage.py", "receive_events"],
    }
    if flower_port != "0":
        found["flower"] = [*celery, "flower", f"--address={host}", f"--port={flower_port}", "--logging=warning"]
    return found


def flower_login(environment: dict[str, str]) -> str:
    """Return Flower's login. It goes through the environment: other users of this machine can read command lines."""
    command = [PYTHON, "manage.py", "flower_login"]
    return subprocess.run(
        command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()


def _queues(names: str) -> str:
    return ",".join(f"vsm.{name}.v1" for name in names.split(","))


if __name__ == "__main__":
    sys.exit(main())
