"""The rate limiter that processes share: one script call per check, by the clock of the server.

The script takes from every layer or from none, in one step that no other process can come between. Loaded only where
Redis is: its client takes 30 MB.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from subsystems.kernel.errors import TransientError
from subsystems.messaging.limiter import Bucket, Refusal

TIMEOUT_SECONDS = 0.05  # for those who publish
PATIENT_SECONDS = 2  # for those who read counters
MICRO = 1_000_000
CHUNK = 1000

# gcra.step_all in Lua, in microseconds. KEYS: one per bucket, then the counters' hash. ARGV: for each bucket its
# interval T, its depth burst * T and its counter's name. Answers {place of the first refusal, microseconds to wait}.
_TAKE = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local n = #KEYS - 1
local earned, refused, longest = {}, 0, 0
local function keep(i, due)
  redis.call('SET', KEYS[i], string.format('%.3f', due), 'PX', math.ceil((due - now) / 1000))
end
for i = 1, n do
  local interval, depth = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1])
  local due = tonumber(redis.call('GET', KEYS[i]) or 0)
  if due > now + depth + 0.5 then
    due = now + depth
    keep(i, due)
  end
  earned[i] = math.max(now, due) + interval
  local wait = earned[i] - depth - now
  if wait > 0.5 then
    if refused == 0 then refused = i end
    longest = math.max(longest, wait)
  end
end
if refused > 0 then
  redis.call('HINCRBY', KEYS[n + 1], ARGV[3 * refused], 1)
  return {refused, math.ceil(longest)}
end
for i = 1, n do keep(i, earned[i]) end
return {0, 0}
"""


@contextmanager
def _reachable() -> Iterator[None]:
    try:
        yield
    except (redis.RedisError, OSError) as error:
        raise TransientError(f"The rate limiter cannot be reached: {error}") from error


def _client(url: str, timeout_seconds: float) -> Any:
    """Return a client that replaces a stale connection once, at once, and asks a server that is late no second time."""
    retry = Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
    return redis.Redis.from_url(
        url, socket_timeout=timeout_seconds, socket_connect_timeout=timeout_seconds, retry=retry
    )


class RedisLimiter:
    """Buckets in Redis. A key expires when its bucket is full again, so that their number stays bounded."""

    def __init__(self, *, url: str = "", root: str = "vsm:limit:", timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._quick = _client(url or settings.REDIS_URL, timeout_seconds)
        self._patient = _client(url or settings.REDIS_URL, max(timeout_seconds, PATIENT_SECONDS))
        self._take = self._quick.register_script(_TAKE)
        self._root = root
        self._counters = root + "counters"

    def take(self, buckets: Sequence[Bucket]) -> Refusal | None:
        """See RateLimiter."""
        keys = [self._root + bucket.key for bucket in buckets]
        arguments: list[float | str] = []
        for bucket in buckets:
            interval = bucket.limit.interval_seconds * MICRO
            arguments += (interval, interval * bucket.limit.burst, bucket.counter)
        with _reachable():
            refused, wait = self._take(keys=[*keys, self._counters], args=arguments)
        return Refusal(buckets[refused - 1], wait / MICRO) if refused else None

    def count(self, amounts: Mapping[str, int]) -> bool:
        """See RateLimiter."""
        try:
            with self._quick.pipeline(transaction=True) as pipe:
                for name, amount in amounts.items():
                    pipe.hincrby(self._counters, name, amount)
                pipe.execute()
        except (redis.RedisError, OSError):
            return False
        return True

    def counters(self) -> dict[str, int]:
        """See RateLimiter."""
        with _reachable():
            return {name.decode(): int(value) for name, value in self._patient.hgetall(self._counters).items()}

    def clear(self) -> None:
        """See RateLimiter."""
        with _reachable():
            keys = list(self._patient.scan_iter(match=self._root + "*", count=CHUNK))
            for start in range(0, len(keys), CHUNK):
                self._patient.unlink(*keys[start : start + CHUNK])
