"""A process that dies at its k-th step, a statement in the database, a script in Redis or an operation on a file.

It is forked, so that each of some hundred deaths costs milliseconds; it ends by `os._exit`, which is what `kill -9`
leaves behind: open transactions, unfinished files, and nothing tidied up.
"""

from __future__ import annotations

import os
import signal
import traceback
import warnings
from collections.abc import Callable
from typing import Any

from django.db import connection, connections

DIED, SURVIVED, FAILED = 9, 0, 1
LONGEST_SECONDS = 20
_kept: list[Any] = []  # what a child must not close, for its parent still uses it


class Step:
    """Counts steps down; the last one is the death, before or after it is done."""

    def __init__(self, left: int, *, after: bool) -> None:
        self._left, self._after = left, after

    def run(self, work: Callable[..., Any], *args: Any, **options: Any) -> Any:
        self._left -= 1
        if self._left == 0 and not self._after:
            os._exit(DIED)
        found = work(*args, **options)
        if self._left == 0:
            os._exit(DIED)
        return found


class Stream:
    """A file that is being written: each block is a step, and so is its end."""

    def __init__(self, real: Any, step: Step) -> None:
        self._real, self._step = real, step

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self._step.run(self._real.close)

    def write(self, data: bytes) -> int:
        return int(self._step.run(self._real.write, data))


class Filesystem:
    """A filesystem of pyarrow each of whose calls is a step, with *blocks* also each block that is written."""

    STEPS = {"create_dir", "open_output_stream", "move", "delete_file", "open_input_stream", "open_input_file"}

    def __init__(self, real: Any, step: Step, *, blocks: bool = False) -> None:
        self._real, self._step, self._blocks = real, step, blocks

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if name not in self.STEPS:
            return found
        if self._blocks and name == "open_output_stream":
            return lambda *args, **options: Stream(self._step.run(found, *args, **options), self._step)
        return lambda *args, **options: self._step.run(found, *args, **options)


def dies_at(k: int, work: Callable[[Step], object], *, after: bool = False, statements: bool = True) -> bool:
    """Do *work* in a process that dies at step *k*; return False when there were fewer steps.

    Each of its *statements* in the database is a step, unless it is told otherwise.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer versions warn of every fork beside threads
        child = os.fork()
    if child == 0:
        _die_in_child(Step(k, after=after), work, statements)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (DIED, SURVIVED, -signal.SIGALRM), f"the child ended with {code}"
    return code != SURVIVED


def the_dead_are_gone() -> bool:
    """Return whether the database has let go of every process that died; wait for it before looking at what is left."""
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'dying'"
        )
        return bool(cursor.fetchone()[0] == 0)


def _die_in_child(step: Step, work: Callable[[Step], object], statements: bool) -> None:
    code = FAILED
    # A thread that the fork did not take along may have held a lock of SQLite's: who waits for it is killed, too.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(LONGEST_SECONDS)
    try:
        for connection in connections.all():
            _kept.append(connection.connection)
            connection.connection = None
            connection.connect()
            if connection.vendor == "postgresql":
                connection.cursor().execute("SET application_name = 'dying'")
            if statements:
                connection.execute_wrappers.append(lambda run, *args: step.run(run, *args))
        work(step)
        code = SURVIVED
    except BaseException:  # noqa: BLE001
        traceback.print_exc()  # the parent only learns that it failed
    finally:
        os._exit(code)
