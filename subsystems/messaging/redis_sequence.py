"""The numbers of changes, shared by all processes. Loaded only where Redis is: its client takes 30 MB."""

from __future__ import annotations

import time

import redis
from django.conf import settings


class RedisSequence:
    """Numbers the changes of each system with one counter in Redis.

    A counter that Redis has lost starts again at the clock: numbers that went back would look like old news.
    """

    def __init__(self) -> None:
        self._client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2)

    def next(self, system_id: int) -> int:
        key = f"vsm:live:{system_id}"
        with self._client.pipeline() as pipeline:
            pipeline.set(key, int(time.time() * 1000), nx=True)
            pipeline.incr(key)
            return int(pipeline.execute()[1])

    def current(self, system_id: int) -> int:
        return int(self._client.get(f"vsm:live:{system_id}") or 0)
