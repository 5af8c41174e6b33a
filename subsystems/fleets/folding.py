"""Folding events into rows: what is known of each task after a batch.

Each column has a rule that gives the same whatever the order of events, however they are cut into batches, and however
often one comes: the least, the greatest, or all of what the fact said that holds. `store.py` has the same rules in SQL,
so that a batch needs to know nothing of the rows that it completes, and memory holds one batch and no more.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import msgspec

from subsystems.fleets.events import Event
from subsystems.fleets.fingerprints import fingerprint
from subsystems.fleets.masking import MASK, Masking
from subsystems.fleets.states import FINAL, LEVEL, State
from subsystems.kernel.moments import moment_of

MAX_ID, MAX_NAME, MAX_TEXT, MAX_TRACEBACK = 155, 200, 1_024, 8_000
MAX_CLOCK = 1 << 62
PENDING, RECEIVED, STARTED, SUCCESS = map(int, (State.PENDING, State.RECEIVED, State.STARTED, State.SUCCESS))
MAX_REMEMBERED = 100_000  # tasks of which it is remembered whether their results are hidden


class Facts(msgspec.Struct, gc=False):
    """What a batch of events tells of one task. Moments are epoch seconds by the clocks of those who sent them."""

    uuid: str
    seen_at: float
    # What the fact that holds says: these change together.
    state: int = State.PENDING
    changed_at: float = -1.0
    finished_at: float | None = None
    worker: str = ""
    result: str = ""
    exception: str = ""
    traceback: str = ""
    fingerprint: int | None = None
    runtime_told: float | None = None
    # The greatest text; whoever tells it tells the same.
    name: str = ""
    queue: str = ""
    exchange: str = ""
    routing_key: str = ""
    args: str = ""
    kwargs: str = ""
    parent_id: str | None = None
    root_id: str | None = None
    # The least or the greatest moment or number.
    sent_at: float | None = None
    received_at: float | None = None
    started_at: float | None = None
    last_started_at: float | None = None
    eta_at: float | None = None
    expires_at: float | None = None
    retries: int = 0
    clock: int | None = None

    def holds(self, state: int, at: float) -> bool:
        """Return whether a fact replaces the one that holds: a higher level, or a later moment on the same."""
        level, held = state // LEVEL, self.state // LEVEL
        return level > held or (level == held and (at, state) > (self.changed_at, self.state))

    @property
    def runtime(self) -> float | None:
        """How long it ran, as the column `runtime_seconds` has it."""
        if self.runtime_told is not None:
            return self.runtime_told
        if self.finished_at is None or self.last_started_at is None or self.finished_at < self.last_started_at:
            return None
        return self.finished_at - self.last_started_at

    @property
    def wait(self) -> float | None:
        """How long it waited in its queue, as the column `wait_seconds` has it."""
        if self.started_at is None or self.sent_at is None:
            return None
        due = self.sent_at if self.eta_at is None else max(self.sent_at, self.eta_at)
        return self.started_at - due


class Retry(msgspec.Struct, gc=False):
    """One try that ended in another."""

    uuid: str
    at: float
    worker: str
    exception: str


class Batch:
    """Events folded since the last flush."""

    def __init__(self) -> None:
        self.tasks: dict[str, Facts] = {}
        self.retries: list[Retry] = []
        self.events = 0

    def __bool__(self) -> bool:
        return bool(self.tasks)


class Folder:
    """Folds the events of one fleet; remembers nothing but which tasks are hidden."""

    def __init__(self, masking: Masking) -> None:
        self.masking = masking
        self.batch = Batch()
        self._hidden: dict[str, bool] = {}
        self._rules = {
            "task-sent": self._sent,
            "task-received": self._received,
            "task-started": self._started,
            "task-retried": self._retried,
            "task-succeeded": self._succeeded,
            "task-failed": self._failed,
            "task-revoked": self._revoked,
            "task-rejected": self._rejected,
        }

    def take(self) -> Batch:
        """Return what was folded, and begin anew."""
        batch, self.batch = self.batch, Batch()
        return batch

    def fold_all(self, events: Iterable[Event]) -> None:
        for event in events:
            self.fold(event)

    def fold(self, event: Event) -> None:
        """Take in one event; one that is not about a task, or says not about which and when, changes nothing."""
        rule = self._rules.get(event.type)
        if rule is None or not event.uuid or not 0 < event.timestamp < 1e11:
            return
        event.timestamp = round(event.timestamp, 6)  # as a datetime has it: a cursor made of one must find its row
        batch = self.batch
        batch.events += 1
        uuid = event.uuid if len(event.uuid) <= MAX_ID and event.uuid.isprintable() else _id(event.uuid)
        facts = batch.tasks.get(uuid)
        if facts is None:
            facts = batch.tasks[uuid] = Facts(uuid, event.timestamp)
        elif event.timestamp < facts.seen_at:
            facts.seen_at = event.timestamp
        clock = event.clock
        if clock is not None and 0 <= clock < MAX_CLOCK and (facts.clock is None or clock > facts.clock):
            facts.clock = clock
        rule(facts, event)

    # --- What each event says -----------------------------------------------------------------------------------------
    def _sent(self, facts: Facts, event: Event) -> None:
        self._describe(facts, event)
        facts.queue = max(facts.queue, _text(event.queue, MAX_NAME))
        facts.exchange = max(facts.exchange, _text(event.exchange, MAX_NAME))
        facts.routing_key = max(facts.routing_key, _text(event.routing_key, MAX_NAME))
        if not event.retries:  # another try is sent by the worker, and the task was on its way before
            facts.sent_at = _least(facts.sent_at, event.timestamp)
            self._reach(facts, event, State.PENDING)

    def _received(self, facts: Facts, event: Event) -> None:
        self._describe(facts, event)
        facts.received_at = _least(facts.received_at, event.timestamp)
        self._reach(facts, event, RECEIVED)

    def _started(self, facts: Facts, event: Event) -> None:
        facts.started_at = _least(facts.started_at, event.timestamp)
        if facts.last_started_at is None or event.timestamp > facts.last_started_at:
            facts.last_started_at = event.timestamp
        self._reach(facts, event, STARTED)

    def _succeeded(self, facts: Facts, event: Event) -> None:
        if self._reach(facts, event, SUCCESS):
            facts.result = self._shown(facts, event.result)
            runtime = event.runtime
            facts.runtime_told = runtime if runtime is not None and 0 <= runtime < 1e9 else None

    def _failed(self, facts: Facts, event: Event) -> None:
        if self._reach(facts, event, State.FAILURE):
            self._blame(facts, event)

    def _retried(self, facts: Facts, event: Event) -> None:
        exception = self._exception(facts, event)
        self.batch.retries.append(Retry(facts.uuid, event.timestamp, _text(event.hostname, MAX_NAME), exception))
        if self._reach(facts, event, State.RETRY):
            self._blame(facts, event)

    def _revoked(self, facts: Facts, event: Event) -> None:
        if self._reach(facts, event, State.REVOKED):
            facts.exception = "expired" if event.expired else "terminated" if event.terminated else ""

    def _rejected(self, facts: Facts, event: Event) -> None:
        self._reach(facts, event, State.REJECTED)

    # --- Parts --------------------------------------------------------------------------------------------------------
    def _reach(self, facts: Facts, event: Event, state: int) -> bool:
        """Let *state* hold if it does; all that an earlier fact said goes with it."""
        if not facts.holds(state, event.timestamp):
            return False
        facts.state, facts.changed_at = int(state), event.timestamp
        facts.finished_at = event.timestamp if state >= FINAL else None
        facts.worker = _text(event.hostname, MAX_NAME) if state else ""
        if facts.exception or facts.result or facts.runtime_told is not None:
            facts.result = facts.exception = facts.traceback = ""
            facts.fingerprint = facts.runtime_told = None
        return True

    def _describe(self, facts: Facts, event: Event) -> None:
        name = _text(event.name, MAX_NAME)
        hidden = self._note_hidden(facts.uuid, name)
        if name > facts.name:
            facts.name = name
        args = MASK if hidden else self.masking.masked(_text(event.args, MAX_TEXT))
        kwargs = MASK if hidden else self.masking.masked(_text(event.kwargs, MAX_TEXT))
        facts.args, facts.kwargs = max(facts.args, args), max(facts.kwargs, kwargs)
        if event.parent_id:
            facts.parent_id = max(facts.parent_id or "", _id(event.parent_id))
        if event.root_id and event.root_id != event.uuid:
            facts.root_id = max(facts.root_id or "", _id(event.root_id))
        if event.retries and 0 < event.retries < 32_768:
            facts.retries = max(facts.retries, event.retries)
        elif event.eta is not None:  # that of another try is no wait of the first
            facts.eta_at = _least(facts.eta_at, _moment(event.eta))
        if event.expires is not None:
            facts.expires_at = _least(facts.expires_at, _moment(event.expires))

    def _blame(self, facts: Facts, event: Event) -> None:
        facts.exception = self._exception(facts, event)
        facts.traceback = self.masking.masked(_text((event.traceback or "")[-MAX_TRACEBACK:], MAX_TRACEBACK))
        facts.fingerprint = fingerprint(facts.exception, facts.traceback)

    def _exception(self, facts: Facts, event: Event) -> str:
        text = _text(event.exception, MAX_TEXT)
        if self._is_hidden(facts):
            return f"{text.partition('(')[0][:MAX_NAME]}({MASK})"
        return self.masking.masked(text)

    def _shown(self, facts: Facts, text: str | None) -> str:
        return MASK if self._is_hidden(facts) else self.masking.masked(_text(text, MAX_TEXT))

    def _note_hidden(self, uuid: str, name: str) -> bool:
        if not self.masking.tasks:
            return False
        hidden = self.masking.hides(name)
        if len(self._hidden) >= MAX_REMEMBERED:
            del self._hidden[next(iter(self._hidden))]
        self._hidden[uuid] = hidden
        return hidden

    def _is_hidden(self, facts: Facts) -> bool:
        """Return whether a task's results are hidden; where there are rules, those of a task without a name are."""
        if not self.masking.tasks:
            return False
        return self._hidden.get(facts.uuid, not facts.name or self.masking.hides(facts.name))


def _least(known: float | None, told: float | None) -> float | None:
    if told is None:
        return known
    return told if known is None or told < known else known


def _moment(text: str) -> float | None:
    """Return a moment as Celery writes it: ISO, in UTC where it names no zone."""
    found = moment_of(text)
    if found is None and text[:4].isdigit() and "T" in text:
        found = moment_of(f"{text[:32]}+00:00")
    return found if found is not None and 0 < found < 1e11 else None


def _text(value: str | None, limit: int) -> str:
    """Return *value* so that every database takes it, and no longer than *limit*."""
    if not value:
        return ""
    if len(value) <= limit and value.isascii() and "\0" not in value:
        return value
    cut = value if len(value) <= limit else value[: limit - 1] + "…"
    return cut.replace("\0", "").encode("utf-8", "replace").decode()


def _id(value: str) -> str:
    """Return an id that fits its column and stays its own."""
    clean = _text(value, 10_000)
    if len(clean) <= MAX_ID:
        return clean
    return f"{clean[:120]}~{blake2b(clean.encode(), digest_size=16).hexdigest()}"
