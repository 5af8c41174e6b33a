"""The limiter in Redis keeps the contract of every limiter, exactly across processes, and makes nobody wait."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import redis
from django.conf import settings

from subsystems.kernel.errors import TransientError
from subsystems.kernel.severity import Severity
from subsystems.messaging import limits
from subsystems.messaging.channels import Channel, Party
from subsystems.messaging.gcra import Limit
from subsystems.messaging.limits import GuardedLimiter, RateLimited
from subsystems.messaging.redis_limiter import RedisLimiter
from tests.support.own_redis import OwnRedis
from tests.support.platform_process import ROOT, until
from tests.support.rate_limiter_contract import RateLimiterContract, bucket

PROCESSES, LIMIT, BURST, SECONDS = 4, 200, 20, 2


class TestRedisLimiter(RateLimiterContract):
    @pytest.fixture
    def limiter(self) -> Iterator[RedisLimiter]:
        # Patient: on a machine busy with other tests 50 ms is no sign of a server that is away.
        limiter = RedisLimiter(root=f"vsm:test:{uuid4().hex}:", timeout_seconds=10)
        yield limiter
        limiter.clear()

    def test_processes_share_the_limit(self, limiter: RedisLimiter) -> None:
        """What one worker spends, another lacks."""
        other = RedisLimiter(root=limiter._root, timeout_seconds=10)
        limiter.take([bucket(limit=Limit(1, 3600, 1))])

        assert other.take([bucket(limit=Limit(1, 3600, 1))]) is not None

    def test_a_bucket_that_is_full_again_is_forgotten(self, limiter: RedisLimiter) -> None:
        """Keys name systems and tokens; those that came once must not stay."""
        client = redis.Redis.from_url(settings.REDIS_URL)
        for number in range(20):
            limiter.take([bucket(key=str(number), limit=Limit(100, 1, 5))])

        until(lambda: not list(client.scan_iter(match=limiter._root + "*")), seconds=5, what="the keys expire")

    def test_a_limit_that_lasts_a_day_is_a_valid_key_life(self, limiter: RedisLimiter) -> None:
        """The widest row that the admin takes."""
        assert limiter.take([bucket(key="slow", limit=Limit(1, 86_400, 1_000_000))]) is None
        assert limiter.take([bucket(key="fast", limit=Limit(1_000_000, 1, 1))]) is None

    def test_a_limiter_that_is_away_is_a_transient_error(self) -> None:
        """The door decides what that means; counting never fails."""
        away = RedisLimiter(url="redis://127.0.0.1:1/0")

        assert away.count({"fallbacks": 1}) is False
        with pytest.raises(TransientError):
            away.take([bucket()])
        with pytest.raises(TransientError):
            away.counters()


def hammers(root: str) -> list[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.support.hammer", settings.REDIS_URL, root]
    command += [str(LIMIT), str(BURST), str(SECONDS)]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    started = [
        subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    return started


def test_four_processes_get_the_limit_within_five_percent() -> None:
    """No more, or the limit is none; and no less, or it punishes the honest."""
    root = f"vsm:test:{uuid4().hex}:"

    running = hammers(root)
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    found = [json.loads(process.communicate(timeout=60)[0]) for process in running]

    accepted, asked = sum(each["accepted"] for each in found), sum(each["asked"] for each in found)
    elapsed = max(each["to"] for each in found) - min(each["from"] for each in found)
    RedisLimiter(root=root, timeout_seconds=10).clear()
    assert asked > 2 * accepted
    assert accepted == pytest.approx(BURST + LIMIT * elapsed, rel=0.05)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OwnRedis]:
    server = OwnRedis(tmp_path)
    limits.use_limiter(GuardedLimiter(RedisLimiter(url=server.url), rest_seconds=0.2))
    yield server
    limits.use_limiter(None)
    server.stop()


def say(severity: Severity) -> bool:
    try:
        limits.check(Channel.ALGEDONIC, Party.S1, severity, None)
    except RateLimited:
        return False
    return True


@pytest.mark.django_db
@pytest.mark.parametrize("fail", [OwnRedis.stop, OwnRedis.hang], ids=["the server is dead", "the server hangs"])
def test_without_redis_critical_passes_and_the_rest_is_held_locally(
    server: OwnRedis, fail: Callable[[OwnRedis], None], caplog: pytest.LogCaptureFixture
) -> None:
    """The worst moment to lose pain is the moment when something is broken; nor may it open the gates."""
    assert say(Severity.HIGH)
    fail(server)

    critical = [say(Severity.CRITICAL) for _ in range(500)]
    high = [say(Severity.HIGH) for _ in range(100)]

    assert all(critical)
    assert sum(high) <= 5  # a fourth of 10 a minute, and at most that again while the machine is slow
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.django_db
def test_a_hanging_redis_is_asked_by_one_caller_at_a_time(server: OwnRedis) -> None:
    """A thousand publishers must not each find out for themselves: 50 ms once in a while, not 50 ms each."""
    say(Severity.LOW)
    server.hang()
    started = time.monotonic()

    for _ in range(1000):
        say(Severity.HIGH)

    assert time.monotonic() - started < 1000 * 0.05 / 2


@pytest.mark.django_db
def test_the_limiter_recovers_by_itself(server: OwnRedis) -> None:
    """Nobody restarts workers because Redis was restarted; what was refused meanwhile is told afterwards."""
    server.stop()
    refused = sum(not say(Severity.LOW) for _ in range(10))
    server.start()

    until(lambda: say(Severity.HIGH) and limits.limiter().shared_answers, seconds=10, what="the limiter is back")

    counters = limits.limiter().counters()
    assert counters["refused:severity:low"] == refused > 0
    assert counters["fallbacks"] >= 10
