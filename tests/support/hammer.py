"""A process that asks one limiter as often as it can: `python -m tests.support.hammer URL ROOT LIMIT BURST SECONDS`.

Waits for a line on its input, so that several start together, and prints how many were accepted and asked, and the
times of the server's clock between which it asked.
"""

from __future__ import annotations

import json
import sys
import time

from subsystems.messaging.gcra import Limit
from subsystems.messaging.limiter import Bucket
from subsystems.messaging.redis_limiter import RedisLimiter


def main() -> None:
    url, root, limit, burst, seconds = sys.argv[1:]
    # Patient: this is about how exact the limit is, not about what happens when the server is slow.
    limiter = RedisLimiter(url=url, root=root, timeout_seconds=10)
    bucket = Bucket("system", "hammered", Limit(float(limit), 1, float(burst)), "refused:system:high")
    limiter.counters()  # connects
    print("ready", flush=True)
    sys.stdin.readline()
    accepted = asked = 0
    started = time.time()
    while time.time() < started + float(seconds):
        asked += 1
        accepted += limiter.take([bucket]) is None
    print(json.dumps({"accepted": accepted, "asked": asked, "from": started, "to": time.time()}), flush=True)


if __name__ == "__main__":
    main()
