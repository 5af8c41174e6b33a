"""Lets Celery's workers keep their rate limits under a backlog. Opt-in, in the application of the workers:

    from vsm_client.limits import steady_limits

    steady_limits(app)

Celery sets a timer for each message that has to wait, and each of them sets itself anew as long as any message waits.
With more than one message prefetched they only ever get more; from ten on, its loop sleeps for a second after each
round of them, and the worker starts one task a second, whatever its limit is. Here there is one timer for each task
that is limited, a moment in which it was late is caught up, and what waits moves on when the limit changes.
"""

from __future__ import annotations

from time import monotonic
from typing import Any

from celery import Celery, bootsteps
from celery.utils.time import rate
from kombu.utils.limits import TokenBucket

REST_SECONDS = 0.1  # of a limit may be started at once after a rest: at least one
BEHIND_SECONDS = 1.0  # in which messages waited, and a busy machine came late, are made up for
LEAST_SECONDS = 0.001  # of a timer: what rounding leaves of a token is no reason to wake at once
MARK = "steady_limits"  # what a worker's `stats` say


def steady_limits(app: Celery) -> None:
    """Let the workers of *app* keep their rate limits. Calling it twice changes nothing."""
    app.steps["consumer"].add(SteadyLimits)


class Bucket(TokenBucket):  # type: ignore[misc]
    """The tokens of one task, what waits for them, and one timer."""

    def __init__(self, fill_rate: float) -> None:
        self._rested = max(1.0, fill_rate * REST_SECONDS)
        super().__init__(fill_rate, capacity=self._rested)
        self._tokens = 1.0
        self.turn = 0  # of the timer that counts; an older one has nothing to say
        self.wakes_at: float | None = None

    def add(self, item: tuple[Any, int]) -> None:
        if not self.contents:
            self._get_tokens()  # those of its rest
            self.capacity = self._rested + self.fill_rate * BEHIND_SECONDS
        super().add(item)

    def rest(self) -> None:
        """Nothing waits any more."""
        self.capacity = self._rested
        self._tokens = min(self._tokens, self._rested)

    def take_over(self, former: TokenBucket) -> None:
        """Go on where *former* was: what waits waits on, and a new limit is no gift of a task."""
        self._tokens = min(former._get_tokens(), self.capacity)
        for item in former.contents:
            self.add(item)
        former.clear_pending()

    def clear_pending(self) -> None:
        super().clear_pending()
        self.turn, self.wakes_at = self.turn + 1, None


class SteadyLimits(bootsteps.Step):  # type: ignore[misc]
    """Takes the place of the consumer's own limits."""

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._consumer = consumer
        consumer.bucket_for_task = bucket_for_task
        consumer._schedule_bucket_request = self.run
        consumer.reset_rate_limits = self.reset
        self.reset()

    def info(self, _: Any) -> dict[str, bool]:
        return {MARK: True}

    def reset(self) -> None:
        """Take in limits that have changed."""
        buckets = self._consumer.task_buckets
        for name, task in self._consumer.app.tasks.items():
            former, bucket = buckets.get(name), bucket_for_task(task)
            if isinstance(former, Bucket) and bucket is not None and former.fill_rate == bucket.fill_rate:
                continue
            buckets[name] = bucket
            if former is not None and bucket is not None:
                bucket.take_over(former)
                self.run(bucket)
            elif former is not None:
                self._release(former)

    def run(self, bucket: Any) -> None:
        """Start what there are tokens for; set the timer for the next, unless it is set."""
        while bucket.contents:
            request, tokens = bucket.contents[0]
            if not bucket.can_consume(tokens):
                self._wait(bucket, tokens)
                return
            bucket.pop()
            self._consumer._limit_move_to_pool(request)
        bucket.rest()

    def _wait(self, bucket: Any, tokens: int) -> None:
        if bucket.wakes_at is not None:
            return
        seconds = max(bucket.expected_time(tokens), LEAST_SECONDS)
        bucket.turn, bucket.wakes_at = bucket.turn + 1, monotonic() + seconds
        self._consumer.timer.call_after(seconds, self._wake, (bucket, bucket.turn))

    def _wake(self, bucket: Any, turn: int) -> None:
        if turn == bucket.turn:
            bucket.wakes_at = None
            self.run(bucket)

    def _release(self, bucket: Any) -> None:
        waiting = [request for request, _ in bucket.contents]
        bucket.clear_pending()
        for request in waiting:
            self._consumer._limit_move_to_pool(request)


def bucket_for_task(task: Any) -> Bucket | None:
    """Return the bucket of a task that has a limit."""
    limit = rate(getattr(task, "rate_limit", None))
    return Bucket(limit) if limit else None
