"""`make demo-fleet`: two workers and a producer, until Ctrl-C. A worker that is killed stays dead: that is the demo."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

HERE = Path(__file__).resolve().parent
VHOST = "demo"
REDIS_DATABASE = 7
STOP_SECONDS = 8


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--load", default="1", help="how much work arrives; 0 sends none")
    load = parser.parse_args().load
    found = broker()
    if found is None:
        print(
            "The demo fleet needs a broker that other processes can reach: RabbitMQ on port 5672 or Redis on 6379.\n"
            "`make services` brings both up; or give one as DEMO_BROKER_URL.",
            file=sys.stderr,
        )
        return 1
    url, prefix = found
    environment = {**os.environ, "DEMO_BROKER_URL": url, "DEMO_QUEUE_PREFIX": prefix}
    running = {
        name: subprocess.Popen(command, cwd=HERE, env=environment, start_new_session=True)
        for name, command in commands(prefix, load).items()
    }
    print(f"\n  The demo fleet runs. Add this broker URL in the dashboard:\n\n    {url}\n", flush=True)
    for name, process in running.items():
        print(f"  {name:<12} process {process.pid}", flush=True)
    print("\n  `kill` a worker's process to see it go silent; Ctrl-C stops all.\n", flush=True)
    wait_for_signal()
    stop(list(running.values()))
    return 0


def broker() -> tuple[str, str] | None:
    """Return the URL of a broker and the prefix that keeps our queues apart on it; None without a broker."""
    given = os.environ.get("DEMO_BROKER_URL")
    if given:
        return given, os.environ.get("DEMO_QUEUE_PREFIX", "")
    if listens(5672):
        own = own_vhost()
        return f"amqp://guest:guest@127.0.0.1:5672/{VHOST if own else '/'}", "" if own else "demo-"
    if listens(6379):
        return f"redis://127.0.0.1:6379/{REDIS_DATABASE}", ""
    return None


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def own_vhost() -> bool:
    """Make the demo's own virtual host; False where this user may not, and the queues get a prefix instead."""
    if os.geteuid() != 0 or shutil.which("rabbitmqctl") is None:
        return False
    listed = subprocess.run(["rabbitmqctl", "-q", "list_vhosts"], capture_output=True, text=True, check=False)
    if VHOST in listed.stdout.split():
        return True
    steps = [["add_vhost", VHOST], ["set_permissions", "-p", VHOST, "guest", ".*", ".*", ".*"]]
    return all(
        subprocess.run(["rabbitmqctl", "-q", *step], capture_output=True, check=False).returncode == 0 for step in steps
    )


def commands(prefix: str, load: str) -> dict[str, list[str]]:
    work = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "celery",
        "-q",
        "-A",
        "shop",
        "worker",
        "-E",
        "-l",
        "ERROR",
        "--without-mingle",
    ]
    return {
        "till": [*work, "-n", "till@%h", "-c", "2", "-Q", f"{prefix}orders,{prefix}emails"],
        "back-office": [*work, "-n", "back-office@%h", "-c", "1", "-Q", f"{prefix}reports,{prefix}emails"],
        "customers": [sys.executable, "producer.py", "--load", load],
    }


def wait_for_signal() -> None:
    told = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: told.set())
    told.wait()


def stop(processes: list[subprocess.Popen[bytes]]) -> None:
    """End every process and what it started; one that does not end in time is killed with its children."""
    for process in processes:
        if process.poll() is None:
            process.terminate()
    for process in processes:
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
