"""The events of 1,000 tasks a second as workers send them; prints how many, and when some of them were sent.

`python -m benchmarks.fleet_stream URL TASKS_A_SECOND SECONDS`
"""

from __future__ import annotations

import json
import sys
import time
from uuid import uuid4

from celery import Celery

NAMES, WORKERS = 20, 4
SAMPLED = 101  # one task in so many is followed to the API


def main(url: str, rate: int, seconds: float) -> None:
    app = Celery("stream", broker=url, set_as_current=False, fixups=[])
    followed: list[tuple[str, float]] = []
    with app.connection_for_write() as link:
        tellers = [app.events.Dispatcher(link, hostname=f"w{n}@stream", buffer_while_offline=False)
                   for n in range(WORKERS)]  # fmt: skip
        started, sent, beaten = time.time(), 0, 0.0
        while (now := time.time()) - started < seconds:
            while sent < (now - started) * rate:
                uuid, teller = str(uuid4()), tellers[sent % WORKERS]
                name = "shop.followed" if (sent + 1) % SAMPLED == 0 else f"shop.task{sent % NAMES}"
                teller.send("task-received", uuid=uuid, name=name, args="(1, 'two')",
                            kwargs="{'amount': 17}", root_id=uuid, parent_id=None, retries=0, eta=None,
                            expires=None)  # fmt: skip
                teller.send("task-started", uuid=uuid)
                teller.send("task-succeeded", uuid=uuid, result="42", runtime=0.01)
                sent += 1
                if sent % SAMPLED == 0:
                    followed.append((uuid, time.time()))
                    print(json.dumps(followed[-1]), flush=True)
            if now - beaten >= 2.0:
                beaten = now
                for number, teller in enumerate(tellers):
                    started_here = (sent - number + WORKERS - 1) // WORKERS
                    teller.send("worker-heartbeat", freq=2.0, processed=started_here, active=0)
            time.sleep(0.005)
    print(json.dumps({"sent": sent, "seconds": time.time() - started}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
