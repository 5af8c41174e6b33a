"""Roll-ups in two steps: what ended is noted in the transaction that counts it, and added up every few seconds.

Opening and closing the sketches of every name and queue costs more than all else that is done with a batch, and the
same for a thousand tasks as for one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from django.db import connection, transaction

from subsystems.fleets.ended import Ended
from subsystems.fleets.models import EndedTasks
from subsystems.fleets.roll_ups import Ends, Tally, ends_of

READ = (
    "SELECT at, name, queue, succeeded, failed, others, retried, runtimes, waits FROM fleets_taskrollup "
    "WHERE fleet_id = %s AND at {among}"
)
WRITE = (
    "INSERT INTO fleets_taskrollup (succeeded, failed, others, retried, runtimes, waits, fleet_id, at, name, queue)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (fleet_id, at, name, queue) DO UPDATE SET"
    " succeeded = excluded.succeeded, failed = excluded.failed, others = excluded.others, retried = excluded.retried,"
    " runtimes = excluded.runtimes, waits = excluded.waits"
)
NOTE = "INSERT INTO fleets_endedtasks (fleet_id, body) VALUES (%s, %s)"
MAX_KINDS = 500  # pairs of name and queue in five minutes; what is beyond shares a row
OTHERS = "(others)"
MOST = 200  # notes in one transaction

_encode = msgspec.msgpack.encode
_decoder = msgspec.msgpack.Decoder(list[Ends])


def note(fleet_id: int, ended: Iterable[Ended]) -> None:
    """Note the ends that are counted in this transaction."""
    with connection.cursor() as cursor:
        cursor.execute(NOTE, [fleet_id, _encode(ends_of(ended))])


def noted(fleet_ids: Sequence[int]) -> Iterator[Ends]:
    """Return what is in no roll-up yet."""
    rows = EndedTasks.objects.filter(fleet_id__in=fleet_ids).values_list("body", flat=True)
    return (ends for body in rows for ends in _decoder.decode(body))


def add_up(fleet_id: int) -> int:
    """Add what was noted to the roll-ups of a fleet; return how many notes."""
    with transaction.atomic():
        one_at_a_time(fleet_id)
        notes = dict(EndedTasks.objects.filter(fleet_id=fleet_id).order_by("pk").values_list("pk", "body")[:MOST])
        if notes:
            _roll_up(fleet_id, [ends for body in notes.values() for ends in _decoder.decode(body)])
            EndedTasks.objects.filter(pk__in=list(notes)).delete()
    return len(notes)


def one_at_a_time(fleet_id: int) -> None:
    """Let one receiver of a fleet write at a time: roll-ups are read and written back. SQLite has one writer anyway."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [0x666C65, fleet_id])


def _roll_up(fleet_id: int, news: Sequence[Ends]) -> None:
    known = _known(fleet_id, sorted({ends.at for ends in news}))
    changed: dict[tuple[int, str, str], Tally] = {}
    for ends in news:
        key = (ends.at, ends.name, ends.queue)
        key = key if key in known or len(known) < MAX_KINDS else (ends.at, OTHERS, "")
        tally = changed[key] = known.setdefault(key, Tally())
        tally.add(ends)
    rows = [(*tally.to_row(), fleet_id, *key) for key, tally in sorted(changed.items(), key=lambda item: item[0])]
    with connection.cursor() as cursor:
        cursor.executemany(WRITE, rows)


def _known(fleet_id: int, slots: Sequence[int]) -> dict[tuple[int, str, str], Tally]:
    with connection.cursor() as cursor:
        cursor.execute(READ.format(among=among()), [fleet_id, listed(slots)])
        return {(at, name, queue): Tally.from_row(*numbers) for at, name, queue, *numbers in cursor.fetchall()}


def among() -> str:
    """Return a condition that takes `listed` values."""
    return "= ANY(%s)" if connection.vendor == "postgresql" else "IN (SELECT value FROM json_each(%s))"


def listed(values: Sequence[Any]) -> Any:
    """Return *values* as one value of a statement."""
    return list(values) if connection.vendor == "postgresql" else json.dumps(list(values))
