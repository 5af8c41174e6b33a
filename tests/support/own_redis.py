"""A Redis of a test's own, which may be stopped."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import redis

from tests.support.platform_process import free_port, until


class OwnRedis:
    """Runs until it is stopped; keeps nothing."""

    def __init__(self, home: Path) -> None:
        self.port, self._home = free_port(), home
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--save", "", "--dir", str(self._home)]
        self.process = subprocess.Popen([*command, "--bind", "127.0.0.1"], stdout=subprocess.DEVNULL)
        until(self._answers, seconds=20, what="our Redis answers")

    def hang(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait(20)

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url, socket_timeout=1) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False
