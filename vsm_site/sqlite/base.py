"""Django's SQLite backend, whose writers within one process take turns.

SQLite lets one write at a time. Whoever comes meanwhile sleeps and looks again, after 1 ms, then 2, 5, 10 and more, and
so loses many times what the other one needed, again and again while others come in between. Here the next one goes on
as soon as the first has ended. The turn is a courtesy and no more: SQLite's own lock decides, as before, for other
processes, for who writes without a transaction, and for who has waited for a turn too long.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from django.db.backends.sqlite3 import base

TURN_SECONDS = 5.0  # then it is left to SQLite, which waits as long as the settings say
_turns: dict[Any, threading.Lock] = {}
os.register_at_fork(after_in_child=_turns.clear)  # who had a turn is not in the child


class DatabaseWrapper(base.DatabaseWrapper):
    """Each transaction waits for its turn to begin, and ends it however it ends."""

    _turn: threading.Lock | None = None

    def _start_transaction_under_autocommit(self) -> None:
        self._take_turn()
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]
        except BaseException:
            self._end_turn()
            raise

    def _commit(self) -> None:
        super()._commit()  # type: ignore[misc]
        self._end_turn()  # a commit that fails is rolled back, and ends there

    def _rollback(self) -> None:
        try:
            super()._rollback()  # type: ignore[misc]
        finally:
            self._end_turn()

    def _close(self) -> None:
        try:
            super()._close()  # type: ignore[misc]
        finally:
            self._end_turn()

    def _take_turn(self) -> None:
        turn = _turns.setdefault(self.settings_dict["NAME"], threading.Lock())
        if turn.acquire(timeout=TURN_SECONDS):
            self._turn = turn

    def _end_turn(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.release()
