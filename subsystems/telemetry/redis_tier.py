"""The hot tier that processes share: packed samples in Redis, ten minutes of a series to a key.

One script call appends a thousand runs of samples, which was measured to be five times as fast as a pipeline of single
commands, and 20 bytes a sample against 92 and more for hashes and sorted sets. Keys are made up inside the script, so
it wants one Redis, not a cluster of them.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from subsystems.kernel.errors import TransientError
from subsystems.telemetry.columns import Columns, Ids, columns
from subsystems.telemetry.store import LEASE_SECONDS

BUCKET_SECONDS = 600
MINUTE = 60
# Redis forgets by itself even when nobody evicts any more; before that, workers have time to come back and roll up.
LIFE_SECONDS = 6 * 3600
CHUNK = 1000
PAIR = 16  # two little-endian doubles: time and value

_APPEND = """
local root = KEYS[1]
local minutes = tonumber(ARGV[1])
for i = 2, minutes + 1 do redis.call('SADD', root .. 'dirty', ARGV[i]) end
for i = minutes + 2, #ARGV, 4 do
  local id, bucket, data, newest = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local key = root .. id .. ':' .. bucket
  if redis.call('APPEND', key, data) == #data then
    redis.call('EXPIRE', key, LIFE)
    redis.call('SADD', root .. 'in:' .. bucket, id)
    redis.call('EXPIRE', root .. 'in:' .. bucket, LIFE)
  end
  redis.call('HINCRBY', root .. 'sizes', bucket, #data / 16)
  local known = redis.call('HGET', root .. 'latest', id)
  if not known or struct.unpack('<d', known) <= struct.unpack('<d', newest) then
    redis.call('HSET', root .. 'latest', id, newest)
  end
end
""".replace("LIFE", str(LIFE_SECONDS))

# A taken minute is leased: when nobody settles it, because its taker died, it is there to take again.
_TAKE = """
local root, before, taken = KEYS[1], tonumber(ARGV[1]), {}
local now = tonumber(redis.call('TIME')[1])
for _, minute in ipairs(redis.call('ZRANGEBYSCORE', root .. 'taken', '-inf', now)) do
  redis.call('SADD', root .. 'dirty', minute)
  redis.call('ZREM', root .. 'taken', minute)
end
for _, minute in ipairs(redis.call('SMEMBERS', root .. 'dirty')) do
  if tonumber(minute) + 60 <= before then
    redis.call('SREM', root .. 'dirty', minute)
    redis.call('ZADD', root .. 'taken', now + tonumber(ARGV[2]), minute)
    taken[#taken + 1] = tonumber(minute)
  end
end
return taken
"""


@contextmanager
def _reachable() -> Iterator[None]:
    try:
        yield
    except (redis.RedisError, OSError) as error:
        raise TransientError(f"The hot tier cannot be reached: {error}") from error


class RedisHotTier:
    """Samples of the last hour in Redis; the bound is approximate while several processes append at once."""

    def __init__(self, max_samples: int, *, url: str = "", root: str = "vsm:hot:") -> None:
        # One immediate retry: a stale connection is replaced, and a dead server is not waited for.
        self._client: Any = redis.Redis.from_url(
            url or settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2, retry=Retry(NoBackoff(), 1)
        )
        self._append = self._client.register_script(_APPEND)
        self._take = self._client.register_script(_TAKE)
        self._max = max_samples
        self._root = root
        self._uncounted: Counter[str] = Counter()
        self._lock = threading.Lock()

    def append(self, samples: Columns) -> None:
        """See HotTier."""
        if not len(samples):
            return
        with _reachable():
            kept = self._fitting(samples)
            minutes = (np.unique(kept.at // MINUTE) * MINUTE).astype(int).tolist()
            for runs in _chunks(list(_packed(kept))):
                # In one script with the samples: marked before, a minute could be rolled up without them.
                self._append(keys=[self._root], args=[len(minutes), *minutes, *(part for run in runs for part in run)])

    def read(self, series_ids: Ids | None, start: float, end: float) -> Columns:
        """See HotTier."""
        with _reachable():
            buckets = [at for at in self._sizes() if start - BUCKET_SECONDS < at <= end]
            wanted = self._held_in(buckets) if series_ids is None else np.unique(series_ids)
            found = self._fetch(wanted, buckets).ordered()
        inside = (found.at >= start) & (found.at <= end)
        return found if inside.all() else found.where(inside)

    def latest(self, series_ids: Ids) -> Columns:
        """See HotTier."""
        wanted = np.unique(series_ids)
        if not len(wanted):
            return columns([], [], [])
        with _reachable():
            packed = self._client.hmget(self._root + "latest", wanted.tolist())
        known = np.array([blob is not None for blob in packed])
        return _unpacked(wanted[known], [blob for blob in packed if blob is not None])

    def take_dirty(self, before: float) -> list[int]:
        """See HotTier."""
        with _reachable():
            return sorted(map(int, self._take(keys=[self._root], args=[before, LEASE_SECONDS])))

    def settle(self, minutes: Sequence[int]) -> None:
        """See HotTier."""
        if minutes:
            with _reachable():
                self._client.zrem(self._root + "taken", *minutes)

    def mark_dirty(self, minutes: Sequence[int]) -> None:
        """See HotTier."""
        if minutes:
            with _reachable():
                self._client.sadd(self._root + "dirty", *minutes)

    def oldest_dirty(self) -> int | None:
        """See HotTier."""
        with _reachable(), self._client.pipeline(transaction=True) as pipe:
            pipe.smembers(self._root + "dirty")
            pipe.zrange(self._root + "taken", 0, -1)
            dirty, taken = pipe.execute()
        return min(map(int, [*dirty, *taken]), default=None)

    def evict(self, before: float) -> int:
        """See HotTier."""
        with _reachable():
            gone = sum(self._drop(bucket) for bucket in self._sizes() if bucket + BUCKET_SECONDS <= before)
            self._forget_latest(before)
        return gone

    def size(self) -> int:
        """See HotTier."""
        with _reachable():
            return sum(self._sizes().values())

    def count(self, name: str, n: int = 1) -> None:
        """See HotTier. What cannot be told to Redis now is told with the next count."""
        with self._lock:
            self._uncounted[name] += n
            waiting, self._uncounted = self._uncounted, Counter()
        try:
            with self._client.pipeline() as pipe:
                for counter, amount in waiting.items():
                    pipe.hincrby(self._root + "counters", counter, amount)
                pipe.execute()
        except (redis.RedisError, OSError):
            with self._lock:
                self._uncounted.update(waiting)

    def counters(self) -> dict[str, int]:
        """See HotTier."""
        with _reachable():
            stored = self._client.hgetall(self._root + "counters")
        with self._lock:
            total = Counter({name.decode(): int(value) for name, value in stored.items()})
            total.update(self._uncounted)
        return dict(total)

    def clear(self) -> None:
        """See HotTier."""
        with _reachable():
            for keys in _chunks(list(self._client.scan_iter(match=self._root + "*", count=CHUNK))):
                self._client.unlink(*keys)

    def _sizes(self) -> dict[int, int]:
        stored = self._client.hgetall(self._root + "sizes")
        return {int(bucket): int(size) for bucket, size in stored.items()}

    def _fitting(self, samples: Columns) -> Columns:
        """Drop the oldest buckets until *samples* fit; of a batch that could never fit, return the newest part."""
        sizes = self._sizes()
        room = self._max - sum(sizes.values())
        dropped = 0
        for bucket in sorted(sizes):
            if room >= len(samples):
                break
            dropped += self._drop(bucket)
            room += sizes[bucket]
        if len(samples) > self._max:
            dropped += len(samples) - self._max
            samples = samples.where(np.argsort(samples.at, kind="stable")[-self._max :])
        if dropped:
            self.count("dropped_full", dropped)
        return samples

    def _drop(self, bucket: int) -> int:
        """Forget a bucket; return its size, or 0 when another process was first."""
        with self._client.pipeline(transaction=True) as pipe:
            pipe.hget(self._root + "sizes", bucket)
            pipe.hdel(self._root + "sizes", bucket)
            pipe.smembers(f"{self._root}in:{bucket}")
            pipe.unlink(f"{self._root}in:{bucket}")
            size, _, members, _ = pipe.execute()
        for ids in _chunks(list(members)):
            self._client.unlink(*(f"{self._root}{int(member)}:{bucket}" for member in ids))
        return int(size or 0)

    def _held_in(self, buckets: Sequence[int]) -> Ids:
        if not buckets:
            return np.array([], np.int64)
        members = self._client.sunion([f"{self._root}in:{bucket}" for bucket in buckets])
        return np.sort(np.fromiter(map(int, members), np.int64, len(members)))

    def _fetch(self, series_ids: Ids, buckets: Sequence[int]) -> Columns:
        owners = np.repeat(series_ids, len(buckets))
        ends = [f":{bucket}" for bucket in sorted(buckets)]
        starts = [f"{self._root}{series}" for series in series_ids.tolist()]
        names = [start + end for start in starts for end in ends]
        with self._client.pipeline(transaction=False) as pipe:  # Redis gathers one part while we unpack another
            for keys in _chunks(names):
                pipe.mget(keys)
            blobs = [blob for found in pipe.execute() for blob in found]
        if None in blobs:
            blobs = [blob or b"" for blob in blobs]
        return _unpacked(owners, blobs)

    def _forget_latest(self, before: float) -> None:
        stored = self._client.hgetall(self._root + "latest")
        for ids in _chunks([series for series, blob in stored.items() if np.frombuffer(blob, "<f8")[0] < before]):
            self._client.hdel(self._root + "latest", *ids)


def _packed(samples: Columns) -> Iterator[tuple[int, int, bytes, bytes]]:
    """Yield (series, bucket, packed samples, packed newest sample) for each key that *samples* touch."""
    ordered = samples.ordered()
    buckets = (ordered.at // BUCKET_SECONDS).astype(np.int64) * BUCKET_SECONDS
    changed = (ordered.series[1:] != ordered.series[:-1]) | (buckets[1:] != buckets[:-1])
    starts = np.flatnonzero(np.append(True, changed))
    ends = np.append(starts[1:], len(ordered))
    data = np.column_stack([ordered.at, ordered.values]).astype("<f8").tobytes()
    for start, end, series, bucket in zip(
        starts.tolist(), ends.tolist(), ordered.series[starts].tolist(), buckets[starts].tolist(), strict=True
    ):
        yield series, bucket, data[start * PAIR : end * PAIR], data[(end - 1) * PAIR : end * PAIR]


def _unpacked(series: Ids, blobs: Sequence[bytes]) -> Columns:
    """Return the samples of *blobs*, one for each of *series*."""
    pairs = np.frombuffer(b"".join(blobs), "<f8").reshape(-1, 2)
    lengths = np.fromiter(map(len, blobs), np.int64, len(blobs)) // PAIR
    return Columns(np.repeat(series, lengths), pairs[:, 0].astype(np.float64), pairs[:, 1].astype(np.float64))


def _chunks(items: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]
