"""What any rate limiter must do; each implementation's tests inherit these and give a fixture `limiter`, empty."""

from __future__ import annotations

import threading
import time

import pytest

from subsystems.messaging.gcra import Limit
from subsystems.messaging.limiter import Bucket, RateLimiter
from tests.support.platform_process import until

FEW = Limit(3, 3600, 3)
MANY = Limit(1000, 3600, 1000)


def bucket(layer: str = "severity", key: str = "a", limit: Limit = FEW) -> Bucket:
    return Bucket(layer, f"{layer}:{key}", limit, f"refused:{layer}:high")


def accepted(limiter: RateLimiter, *wanted: Bucket, tries: int) -> int:
    return sum(limiter.take(wanted) is None for _ in range(tries))


class RateLimiterContract:
    """A limit of three an hour does not refill while a test runs."""

    def test_a_burst_passes_and_the_next_is_refused(self, limiter: RateLimiter) -> None:
        """With the time at which it would pass."""
        assert accepted(limiter, bucket(), tries=3) == 3

        refusal = limiter.take([bucket()])

        assert refusal is not None
        assert refusal.bucket == bucket()
        assert refusal.retry_after_seconds == pytest.approx(1200, abs=60)

    def test_keys_do_not_share(self, limiter: RateLimiter) -> None:
        """One tenant's flood is not another's."""
        accepted(limiter, bucket(key="a"), tries=5)

        assert accepted(limiter, bucket(key="b"), tries=5) == 3

    def test_the_most_specific_layer_that_refuses_is_named(self, limiter: RateLimiter) -> None:
        """And the wait is long enough for all of them."""
        narrow, wide = bucket("severity", limit=Limit(1, 60, 1)), bucket("system", limit=Limit(1, 3600, 1))
        limiter.take([narrow, wide])

        refusal = limiter.take([narrow, wide])

        assert refusal is not None
        assert refusal.bucket.layer == "severity"
        assert refusal.retry_after_seconds == pytest.approx(3600, abs=60)

    def test_all_layers_or_none(self, limiter: RateLimiter) -> None:
        """What the system layer refuses must leave the severity's bucket as it was, and the other way round."""
        wide = bucket("system", limit=Limit(1, 3600, 1))
        accepted(limiter, bucket(), wide, tries=20)
        accepted(limiter, bucket("severity", "other", Limit(1, 3600, 1)), bucket("system", "other"), tries=20)

        assert accepted(limiter, bucket(), tries=5) == 2
        assert accepted(limiter, bucket("system", "other"), tries=5) == 2

    def test_what_was_spent_is_earned_again(self, limiter: RateLimiter) -> None:
        """A limit is a pace, not a quota."""
        fast = bucket(limit=Limit(20, 1, 1))
        assert accepted(limiter, fast, tries=200) < 200

        until(lambda: limiter.take([fast]) is None, seconds=5, what="one is earned")

    def test_the_pace_holds(self, limiter: RateLimiter) -> None:
        """Asked as often as possible, it lets through what the limit says and no more."""
        fast = bucket(limit=Limit(500, 1, 10))
        started = time.monotonic()
        taken = 0
        while time.monotonic() < started + 0.3:
            taken += limiter.take([fast]) is None
        elapsed = time.monotonic() - started

        assert taken <= 10 + 500 * elapsed + 1

    def test_a_wider_limit_frees_who_waited_for_the_old_one(self, limiter: RateLimiter) -> None:
        """Somebody edits the policy in the middle of a storm: nobody sits out the hour that was."""
        accepted(limiter, bucket(limit=Limit(1, 3600, 1)), tries=3)

        until(lambda: limiter.take([bucket(limit=Limit(100, 1, 5))]) is None, seconds=5, what="the new limit holds")

    def test_refusals_are_counted_and_counters_add_up(self, limiter: RateLimiter) -> None:
        """What is refused must be seen to be refused."""
        accepted(limiter, bucket(), bucket("system", limit=MANY), tries=5)
        limiter.count({"refused:severity:high": 2, "fallbacks": 1})

        assert limiter.counters() == {"refused:severity:high": 4, "fallbacks": 1}

    def test_threads_get_no_more_than_the_limit(self, limiter: RateLimiter) -> None:
        """Checks come from every thread of a worker."""
        taken: list[int] = []

        def hammer() -> None:
            taken.append(accepted(limiter, bucket(limit=Limit(50, 3600, 50)), tries=40))

        threads = [threading.Thread(target=hammer) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sum(taken) == 50

    def test_clear_forgets_everything(self, limiter: RateLimiter) -> None:
        """Tests start from nothing."""
        accepted(limiter, bucket(), tries=5)
        limiter.clear()

        assert limiter.counters() == {}
        assert accepted(limiter, bucket(), tries=5) == 3
