"""One run: servers, the platform and the control on them, publishers, faults by plan, and the verdicts."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from benchmarks.faults import processes
from benchmarks.faults.checker import Verdict, judge, look_into
from benchmarks.faults.ledger import Reader
from benchmarks.faults.plan import SIMPLE, UNIT_SECONDS, Fault, Kind, make_plan, units
from benchmarks.faults.processes import PYTHON, ROOT, Supervisor
from benchmarks.faults.proxy import Mode, Proxy
from benchmarks.faults.servers import Servers, servers, wait_until

STUCK_SECONDS = {"platform": 150.0, "control": 8.0}  # without progress; the platform asks again for what is silent
BURST_SECONDS = 4.0  # at most, until a fault strikes
READY_SECONDS = 300.0  # a machine that is busy with other things starts ten processes slowly
TELL_SECONDS = 3.0
LOOK_SECONDS = 0.7


@dataclass
class Wanted:
    """What to run."""

    messages: int
    control_messages: int
    faults: int
    seed: int
    outage_seconds: float = 60.0
    pause_seconds: float = 17.0  # longer than a relay's lease
    publishers: int = 2

    @property
    def whole(self) -> bool:
        """Whether every kind of fault strikes; else processes that none meets are spared."""
        return self.faults > SIMPLE


@dataclass
class Found:
    """What a run found."""

    seed: int
    plan: list[Fault]
    platform: Verdict
    control: Verdict
    chain: str
    chain_holds: bool
    seconds: dict[str, float] = field(default_factory=dict)
    starts: dict[str, int] = field(default_factory=dict)


class Publishers:
    """The publishers of one side."""

    def __init__(self, side: str, count: int, messages: int, seed: int, environment: Mapping[str, str], folder: Path):
        self.messages = messages
        paths = [folder / f"{side}-{n}.ledger" for n in range(count)]
        self.reader = Reader(paths)
        self._shares = [messages // count + (n < messages % count) for n in range(count)]
        self._given = 0.0
        self._log = (folder / f"{side}-publishers.log").open("ab")
        self._all = [
            subprocess.Popen(
                [PYTHON, "-m", "benchmarks.faults.publisher", side, f"{side[0]}{n}", str(path), str(seed + n)],
                cwd=ROOT, env=dict(environment), stdin=subprocess.PIPE, stdout=self._log, stderr=self._log, text=True,
            )
            for n, path in enumerate(paths)
        ]  # fmt: skip

    def give(self, share: float) -> None:
        """Let them send *share* of all their messages more."""
        self._given = min(1.0, self._given + share)
        for publisher, messages in zip(self._all, self._shares, strict=True):
            assert publisher.stdin is not None
            with suppress(OSError):
                publisher.stdin.write(f"{round(messages * self._given)}\n")
                publisher.stdin.flush()

    def published(self) -> int:
        told = self.reader.read()
        own = sum(not key.endswith(">") for key in told.acknowledged) if len(told.acknowledged) < 5_000 else None
        return (own if own is not None else len(told.acknowledged)) + told.unsent

    def finished(self) -> bool:
        for publisher in self._all:
            if publisher.stdin is not None and not publisher.stdin.closed:
                publisher.stdin.close()
        return all(publisher.poll() is not None for publisher in self._all)

    def failed(self) -> list[int]:
        return [publisher.returncode for publisher in self._all if publisher.returncode]

    def kill(self) -> None:
        for publisher in self._all:
            publisher.kill()
            publisher.wait(10)
        self._log.close()


class Run:
    """The platform and the control on servers of their own, side by side, under the same faults."""

    def __init__(self, wanted: Wanted, running: Servers, say: Callable[[str], None]) -> None:
        self.wanted, self.servers, self.say = wanted, running, say
        self.plan = make_plan(wanted.seed, wanted.faults, wanted.outage_seconds, wanted.pause_seconds)
        self.chance = random.Random(wanted.seed)
        self.proxy = Proxy(running.broker.port)
        self.logs = running.folder / "logs"
        self.logs.mkdir()
        self.doing = ""
        self._told_at = 0.0

    def __call__(self) -> Found:
        started = time.monotonic()
        self.proxy.start()
        environment = self.servers.environment(broker_port=self.proxy.port)
        manage(environment, "migrate", "--run-syncdb", "--verbosity", "0")
        self.say("the database has its tables")
        self.supervisor = Supervisor(environment, self.logs)
        try:
            self.supervisor.start({**processes.platform(whole=self.wanted.whole), **processes.control()})
            with self._publishers(environment):
                self._warm_up()
                begun = time.monotonic()
                self._strike_all()
                self._let_finish()
                published = time.monotonic()
                self._drain()
                drained = time.monotonic()
            self._seal(environment)
            return self._found(environment, started, begun, published, drained)
        finally:
            self.supervisor.stop()
            self.proxy.stop()

    @contextmanager
    def _publishers(self, environment: Mapping[str, str]) -> Iterator[None]:
        wanted, folder = self.wanted, self.logs
        self.sides = {
            "platform": Publishers(
                "platform", wanted.publishers if wanted.whole else 1, wanted.messages, wanted.seed, environment, folder
            ),
            "control": Publishers("control", 1, wanted.control_messages, wanted.seed, environment, folder),
        }
        try:
            yield
        finally:
            for side in self.sides.values():
                side.kill()

    def _warm_up(self) -> None:
        """A first few messages through everything: faults should meet a platform at work, not one that starts."""
        self.doing = "starting"
        for side in self.sides.values():
            side.give(0.005)
        wait_until(
            lambda: all(self._done(name) > 0 for name in self.sides),
            seconds=READY_SECONDS,
            what=f"first effects ({self.logs})",
        )

    def _strike_all(self) -> None:
        portion = 0.995 / units(self.plan)
        for number, fault in enumerate(self.plan, 1):
            self.doing = f"{number}/{len(self.plan)} {fault.kind}"
            self._give(portion)
            self._await_share(portion, fault.share)
            self._strike(fault, portion)
            self._tell()
        self.doing = "no more faults"
        self._give(1.0)

    def _give(self, share: float) -> None:
        for side in self.sides.values():
            side.give(share)

    def _await_share(self, portion: float, share: float) -> None:
        """Wait until the platform's publishers are in the middle of this portion."""
        side = self.sides["platform"]
        enough = side.published() + portion * share * side.messages
        deadline = time.monotonic() + BURST_SECONDS
        while side.published() < enough and time.monotonic() < deadline:
            time.sleep(0.02)

    def _last(self, fault: Fault, portion: float) -> None:
        """Let a fault last; messages go on coming meanwhile."""
        ends = time.monotonic() + fault.seconds
        for _ in range(fault.units - 1):
            time.sleep(min(UNIT_SECONDS, max(0.0, ends - time.monotonic())))
            self._give(portion)
            self._tell()
        time.sleep(max(0.0, ends - time.monotonic()))

    def _strike(self, fault: Fault, portion: float) -> None:
        broker, database, supervisor = self.servers.broker, self.servers.database, self.supervisor
        relay = self.chance.choice([name for name in supervisor.names() if name.startswith("relay")])
        worker = self.chance.choice(["worker", "algedonic"])
        match fault.kind:
            case Kind.KILL_CHILD:
                for name in (worker, "control"):
                    supervisor.signal_children(name, signal.SIGKILL)
            case Kind.KILL_WORKER:
                for name in (worker, "control"):
                    supervisor.kill(name)
            case Kind.KILL_RELAY:
                supervisor.kill(relay)
            case Kind.KILL_BEAT:
                supervisor.kill("beat")
            case Kind.PAUSE_RELAY:
                supervisor.signal(relay, signal.SIGSTOP)
                self._last(fault, portion)
                supervisor.signal(relay, signal.SIGCONT)
            case Kind.KILL_BROKER:
                broker.kill()
                broker.start()
            case Kind.REFUSED | Kind.UNREACHABLE:
                self.proxy.turn(Mode.REFUSE if fault.kind is Kind.REFUSED else Mode.SILENT)
                self._last(fault, portion)
                self.proxy.turn(Mode.PASS)
            case Kind.CUT:
                for _ in range(4):
                    self.proxy.cut_in_mid_stream()
                    time.sleep(0.1)
            case Kind.RESTART_DATABASE:
                database.stop()
                database.start()
            case Kind.KILL_DATABASE:
                database.kill()
                database.start()

    def _let_finish(self) -> None:
        self.doing = "publishing the rest"
        while sum(side.finished() for side in self.sides.values()) < len(self.sides):
            time.sleep(0.2)
            self._tell()
        for name, side in self.sides.items():
            if side.failed():
                raise RuntimeError(f"A publisher of the {name} ended with {side.failed()}; see {self.logs}.")

    def _drain(self) -> None:
        """Wait until everything acknowledged is done, or nothing moves any more."""
        self.doing = "draining"
        for name, side in self.sides.items():
            wanted, seen, since = len(side.reader.read().acknowledged), -1, time.monotonic()
            while time.monotonic() - since < STUCK_SECONDS[name]:
                done = self._done(name)
                if done >= wanted:
                    break
                if done != seen:
                    seen, since = done, time.monotonic()
                time.sleep(LOOK_SECONDS)
                self._tell()

    def _done(self, side: str) -> int:
        try:
            with psycopg.connect(self.servers.database.url, connect_timeout=3) as connection:
                statement = "SELECT count(DISTINCT key) FROM effects_effect WHERE side = %s"
                found = connection.execute(statement, [side]).fetchone()
                return int(found[0]) if found else 0
        except psycopg.OperationalError:
            return 0

    def _tell(self) -> None:
        if time.monotonic() - self._told_at < TELL_SECONDS:
            return
        self._told_at = time.monotonic()
        parts = [
            f"{name} {len(side.reader.read().acknowledged):,} accepted, {self._done(name):,} done"
            for name, side in self.sides.items()
        ]
        self.say(f"{self.doing:<45} {'; '.join(parts)}")

    def _seal(self, environment: Mapping[str, str]) -> None:
        """Wait until every event has its place in the chain."""
        self.doing = "sealing"

        def sealed() -> bool:
            with psycopg.connect(self.servers.database.url) as connection:
                found = connection.execute("SELECT count(*) FROM event_log_pendingevent").fetchone()
            return found == (0,)

        with suppress(TimeoutError):
            wait_until(sealed, seconds=60, what="events are sealed")

    def _found(
        self, environment: Mapping[str, str], started: float, begun: float, published: float, drained: float
    ) -> Found:
        told = {name: side.reader.read() for name, side in self.sides.items()}
        verdicts = {name: judge(name, told[name], self.servers.database.url) for name in told}
        look_into(verdicts["platform"], told["platform"], self.servers.database.url)
        checked = manage(environment, "verify_events", check=False)
        return Found(
            seed=self.wanted.seed,
            plan=self.plan,
            platform=verdicts["platform"],
            control=verdicts["control"],
            chain=(checked.stdout or checked.stderr).strip()[-500:],
            chain_holds=checked.returncode == 0,
            seconds={
                "starting": begun - started,
                "faults_and_publishing": published - begun,
                "draining": drained - published,
                "all": time.monotonic() - started,
            },
            starts=self.supervisor.starts(),
        )


def manage(environment: Mapping[str, str], *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [PYTHON, "manage.py", *arguments], cwd=ROOT, env=dict(environment), capture_output=True, text=True, check=False
    )
    if check and done.returncode:
        raise RuntimeError(f"manage.py {arguments[0]} failed: {done.stderr[-2000:]}")
    return done


def run(wanted: Wanted, say: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True)) -> Found:
    """Run it all. Raises servers.Unavailable where a server's program is missing."""
    with servers() as running:
        say(f"servers in {running.folder}")
        return Run(wanted, running, say)()
