"""A busy fleet for `drain.py`: forks workers of a Celery application on demand, because a fresh one takes a second.

Reads `start NAME POOL` from standard input and answers with the process id of the new worker. A task writes when it
begins and when it ends, so that whatever was interrupted has no end.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time

from celery import Celery
from celery.apps.worker import Worker

# Before the fork, and not in each child again: what a worker loads when it starts.
from celery.concurrency import asynpool, prefork, thread  # noqa: F401
from celery.worker import autoscale, components, consumer, control, pidbox, strategy  # noqa: F401
from kombu.transport import pyamqp  # noqa: F401

from vsm_client.limits import steady_limits

PR_SET_PDEATHSIG = 1  # of Linux' sys/prctl.h
BROKER, LOG = sys.argv[1:3]
app = Celery("busy", broker=BROKER)
app.conf.update(
    task_default_queue="busy", worker_send_task_events=False, broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False, worker_prefetch_multiplier=2, task_ignore_result=True,
)  # fmt: skip
if "steady" in sys.argv[3:]:
    steady_limits(app)


def write(line: str) -> None:
    file = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{line}\n".encode())  # in one piece, from however many processes
    os.close(file)


@app.task(name="busy.work")
def work(number: int, seconds: float) -> None:
    mark = f"{number} {os.getpid()} {time.monotonic_ns()}"
    write(f"began {mark}")
    time.sleep(seconds)
    write(f"ended {mark}")


def serve() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        _, name, pool = line.split()
        child = os.fork()
        if not child:
            os.setpgid(0, 0)
            os.dup2(2, 1)  # what a worker says when it stops is no answer
            run(name, pool)
        print(child, flush=True)


def run(name: str, pool: str) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # nobody is left behind by a benchmark that is killed
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    sys.stdin.close()
    worker = Worker(
        app=app, hostname=f"{name}@busy", pool=pool, concurrency=2, queues=["busy"], loglevel="CRITICAL", quiet=True,
        without_mingle=True, without_gossip=True,
    )  # fmt: skip
    worker.start()
    os._exit(worker.exitcode or 0)


if __name__ == "__main__":
    serve()
