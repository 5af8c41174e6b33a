"""Servers of a run's own: RabbitMQ, PostgreSQL and Redis in a temporary folder, to be killed and started again.

Nothing here touches the machine's own servers: every port, folder and node name is made for the run, and a process is
found by its number or by the node name in its environment, never by the name of its program.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg

START_SECONDS = 60.0


class Unavailable(Exception):
    """A server's program that is not on this machine; the message names it."""


def missing() -> str:
    """Say which programs this machine lacks, or nothing when all are here."""
    wanted = {"rabbitmq-server": rabbitmq_program, "initdb": postgresql_folder, "redis-server": redis_program}
    absent = [name for name, find in wanted.items() if find() is None]
    if not absent and os.geteuid() == 0 and unprivileged() is None:
        absent.append("a user `postgres` (PostgreSQL does not run as root)")
    return f"needs {', '.join(absent)}" if absent else ""


def rabbitmq_program() -> str | None:
    """Return the server's script itself: Debian's wrapper becomes another user and forgets our environment."""
    own = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
    return str(own) if own.exists() else shutil.which("rabbitmq-server")


def postgresql_folder() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    if found:
        return found[-1].parent
    program = shutil.which("initdb")
    return Path(program).resolve().parent if program else None


def redis_program() -> str | None:
    return shutil.which("redis-server")


def unprivileged() -> pwd.struct_passwd | None:
    with suppress(KeyError):
        return pwd.getpwnam("postgres")
    return None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(met: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Ask until *met* says yes. Raises TimeoutError after *seconds*."""
    deadline = time.monotonic() + seconds
    while not met():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.05)


class RabbitMQ:
    """One node; `kill` is SIGKILL of the whole node, `start` brings it back on its old data."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.folder = folder
        self.folder.mkdir()
        self.node = f"faults-{os.getpid()}-{self.port}@localhost"
        (self.folder / "enabled_plugins").write_text("[].\n")
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.default = 127.0.0.1:{self.port}\n"
            "disk_free_limit.absolute = 50MB\nlog.file.level = warning\n"
        )
        program = rabbitmq_program()
        assert program is not None
        self._program = program
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_DIST_PORT": str(free_port()),
            "ERL_EPMD_PORT": str(free_port()),  # a name server of its own, which ends with it
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            # Two cores are shared by everything: a node that spins while it waits takes one of them.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none",
        }

    def start(self) -> None:
        with (self.folder / "out").open("ab") as out:
            subprocess.Popen(
                [self._program], env=self._environment, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=out,
                stderr=out,
            )  # fmt: skip
        wait_until(self._speaks, seconds=START_SECONDS, what=f"RabbitMQ starts (see {self.folder})")

    def kill(self) -> None:
        """End the node as a power cut would; its name server and helpers go too."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        wait_until(lambda: not self.processes(), seconds=10, what="RabbitMQ is gone")

    def processes(self) -> list[psutil.Process]:
        return with_variable("RABBITMQ_NODENAME", self.node)

    def _speaks(self) -> bool:
        """Whether it answers the protocol's greeting: it listens before it can serve."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=2) as probe:
            probe.sendall(b"AMQP\x00\x00\x09\x01")
            return probe.recv(1) == b"\x01"
        return False


class PostgreSQL:
    """One cluster with fsync; `kill` ends all its processes at once."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.folder = folder
        self.folder.mkdir()
        bin_folder = postgresql_folder()
        assert bin_folder is not None
        self._bin = bin_folder
        owner = unprivileged() if os.geteuid() == 0 else None
        self._as: dict[str, int | list[int]] = {}
        if owner is not None:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
            self._as = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        self._process: subprocess.Popen[bytes] | None = None
        self.data = folder / "data"
        self._run("initdb", "-D", str(self.data), "-U", "vsm", "-A", "trust", "-E", "UTF8", "--locale=C", "-k")

    @property
    def pid(self) -> int:
        """The process of the server itself, whose children do the work."""
        assert self._process is not None
        return self._process.pid

    @property
    def url(self) -> str:
        return f"postgresql://vsm@127.0.0.1:{self.port}/vsm"

    @property
    def admin_url(self) -> str:
        return f"postgresql://vsm@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it, on a new try while what was killed still lets go of its memory."""
        self._popen()
        wait_until(self._opens, seconds=START_SECONDS, what=f"PostgreSQL starts (see {self.folder})")

    def make_database(self) -> None:
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE vsm")

    def stop(self) -> None:
        """Stop as an administrator does in a hurry: sessions are ended, everything is written."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        if self._process is None:
            return
        with suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self._process.pid)
            family = [parent, *parent.children(recursive=True)]
            for process in family:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(family, timeout=10)
        self._process.wait(10)

    def _popen(self) -> None:
        options = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.folder,
            "fsync": "on",
            "synchronous_commit": "on",
            "track_commit_timestamp": "on",  # when an effect was there for others to see, without polling for it
            "max_connections": 100,
            "shared_buffers": "128MB",
            "max_wal_size": "2GB",
        }
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "out").open("ab") as out:
            self._process = subprocess.Popen(
                [str(self._bin / "postgres"), "-D", str(self.data), *arguments], cwd=self.folder, env=self._environment,
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, **self._as,
            )  # fmt: skip

    def _opens(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            self._popen()
            return False
        return opens(self.admin_url)

    @property
    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LC_ALL": "C", "TZ": "UTC"}

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._bin / program), *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env=self._environment, capture_output=True, text=True, check=False, **self._as
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr[-500:]}")


class Redis:
    """One server that keeps nothing."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.folder = folder
        self.folder.mkdir()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        program = redis_program()
        assert program is not None
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            [program, *options], cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(lambda: listens(self.port), seconds=START_SECONDS, what="Redis starts")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)


class Servers:
    """The three of a run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.broker = RabbitMQ(folder / "rabbitmq")
        self.database = PostgreSQL(folder / "postgresql")
        self.redis = Redis(folder / "redis")

    def start(self) -> None:
        self.database.start()
        self.database.make_database()
        self.redis.start()
        self.broker.start()

    def kill(self) -> None:
        for server in (self.broker, self.database, self.redis):
            with suppress(TimeoutError):
                server.kill()

    def environment(self, *, broker_port: int | None = None) -> dict[str, str]:
        """Return the variables of a platform on these servers, in a home in the run's folder."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("VSM_", "DATABASE_URL"))}
        return {**clean, **self.platform(broker_port or self.broker.port)}

    def platform(self, broker_port: int) -> Mapping[str, str]:
        return {
            "DJANGO_SETTINGS_MODULE": "benchmarks.faults.settings",
            "VSM_PROFILE": "services",
            "VSM_HOME": str(self.folder),
            "VSM_BROKER_URL": f"amqp://guest:guest@127.0.0.1:{broker_port}//",
            "VSM_REDIS_URL": self.redis.url,
            "DATABASE_URL": self.database.url,
            "VSM_LOG_LEVEL": "WARNING",
            "VSM_ADMIN_PASSWORD": "not-used-by-anybody",
            "VSM_STATSD_PORT": "0",
            "VSM_FLOWER_PORT": "0",
            "VSM_RATE_LIMITING": "false",  # limits hold elsewhere; here as many come as the machine can take
        }


@contextmanager
def servers() -> Iterator[Servers]:
    """Run all three in a temporary folder until the block ends. Raises Unavailable where a program is missing."""
    reason = missing()
    if reason:
        raise Unavailable(reason)
    folder = Path(tempfile.mkdtemp(prefix="vsm-faults-"))
    folder.chmod(0o711)  # the database's user must reach its own folder in it
    running = Servers(folder)
    try:
        running.start()
        yield running
    finally:
        for process in with_variable("VSM_HOME", str(folder)):  # what a killed process left behind, too
            with suppress(psutil.NoSuchProcess):
                process.kill()
        running.kill()
        if not os.environ.get("FAULTS_KEEP"):
            shutil.rmtree(folder, ignore_errors=True)


def with_variable(name: str, value: str) -> list[psutil.Process]:
    """Return the living processes that were started with this variable, and theirs."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(name) == value and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def opens(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=3).close()
    except psycopg.OperationalError:
        return False
    return True


def listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
