"""Bring up RabbitMQ, Redis and PostgreSQL on this machine and print their URLs. Running it again changes nothing.

A URL that the environment gives is used as it is. Otherwise a server that listens on its standard port is used; what is
missing comes from Debian's packages (as root) or from `docker compose`. URLs go to standard output, one
`NAME=value` a line; everything else goes to standard error.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

ROOT = Path(__file__).resolve().parent.parent
# Per person, not per checkout: two checkouts share the servers of one machine, and so their passwords.
SECRETS = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "vsm" / "services.env"
HOST = "127.0.0.1"
PATIENCE_SECONDS = 60
TEST_VHOST = "vsm-test"  # so that a running platform's workers never take a test's messages
TEST_REDIS_DATABASE = 15
# As pytest-xdist names them; `tests/settings.py` gives each a part of the servers.
TEST_WORKERS = ("gw0", "gw1", "gw2")


class Unavailable(Exception):
    """A server that is not here and cannot be brought here; the message says which and why."""


@dataclass(frozen=True)
class Server:
    """One server: where it listens and how this machine can get it."""

    name: str
    variable: str
    port: int
    binary: str
    package: str
    compose: str

    def listens(self) -> bool:
        try:
            socket.create_connection((HOST, self.port), timeout=1).close()
        except OSError:
            return False
        return True


RABBITMQ = Server("RabbitMQ", "VSM_BROKER_URL", 5672, "rabbitmq-server", "rabbitmq-server", "rabbitmq")
REDIS = Server("Redis", "VSM_REDIS_URL", 6379, "redis-server", "redis-server", "redis")
POSTGRESQL = Server("PostgreSQL", "DATABASE_URL", 5432, "pg_ctlcluster", "postgresql", "postgres")
SERVERS = [RABBITMQ, REDIS, POSTGRESQL]


def main() -> int:
    for_tests = "--for-tests" in sys.argv[1:]
    try:
        found = urls(for_tests=for_tests)
    except Unavailable as error:
        say(str(error))
        return 1
    for name, value in found.items():
        print(f"{name}={value}")
    return 0


def urls(*, for_tests: bool = False) -> dict[str, str]:
    """Return the URL of each server by its variable, having brought up what was missing. Raises Unavailable."""
    given = {server.variable: os.environ[server.variable] for server in SERVERS if os.environ.get(server.variable)}
    wanted = [server for server in SERVERS if server.variable not in given]
    by_compose = bring_up([server for server in wanted if not server.listens()])
    found = dict(given)
    for server in wanted:
        wait_for(server)
        found[server.variable] = ADDRESS[server](server in by_compose, for_tests)
    return found


def bring_up(missing: list[Server]) -> list[Server]:
    """Start *missing*; return those that run in containers."""
    if not missing:
        return []
    if os.geteuid() == 0 and (shutil.which("apt-get") or all(shutil.which(server.binary) for server in missing)):
        for server in missing:
            start_package(server)
        return []
    if compose_works():
        run_compose(missing)
        return missing
    names = ", ".join(server.name for server in missing)
    variables = ", ".join(server.variable for server in missing)
    raise Unavailable(
        f"{names} not found on this machine. Install it (Debian: apt-get install "
        f"{' '.join(server.package for server in missing)}), run as root, install `docker compose`, or set {variables}."
    )


def start_package(server: Server) -> None:
    if shutil.which(server.binary) is None:
        say(f"Installing {server.package}")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        run(["apt-get", "update", "-qq"], env=environment)
        run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", server.package], env=environment)
    if not server.listens():
        say(f"Starting {server.name}")
        run(["service", server.package, "start"])


def compose_works() -> bool:
    if shutil.which("docker") is None:
        return False
    probes = [["docker", "compose", "version"], ["docker", "info"]]
    return all(subprocess.run(probe, capture_output=True, check=False).returncode == 0 for probe in probes)


def run_compose(missing: list[Server]) -> None:
    say(f"Starting {', '.join(server.name for server in missing)} with docker compose")
    kept = {name: kept_secret(name) for name in ("VSM_RABBITMQ_PASSWORD", "VSM_POSTGRES_PASSWORD")}
    # The rest of the file is not started, but compose wants every variable of it.
    unused = {"VSM_SECRET_KEY": "unused", "VSM_ADMIN_PASSWORD": "unused"}
    run(
        ["docker", "compose", "up", "-d", "--wait", *(server.compose for server in missing)],
        env={**unused, **os.environ, **kept},
    )


def wait_for(server: Server) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not server.listens():
        if time.monotonic() > deadline:
            raise Unavailable(
                f"{server.name} does not listen on {HOST}:{server.port} after {PATIENCE_SECONDS} seconds."
            )
        time.sleep(0.5)


def rabbitmq_url(in_container: bool, for_tests: bool) -> str:
    login = f"vsm:{quote(kept_secret('VSM_RABBITMQ_PASSWORD'), safe='')}" if in_container else "guest:guest"
    vhost = TEST_VHOST if for_tests and not in_container and make_vhost(TEST_VHOST) else "/"
    return f"amqp://{login}@{HOST}:{RABBITMQ.port}/{vhost}"


def make_vhost(name: str) -> bool:
    """Make a virtual host that `guest` may use; return False where that is not allowed."""
    if os.geteuid() != 0 or shutil.which("rabbitmqctl") is None:
        return False
    listed = subprocess.run(["rabbitmqctl", "-q", "list_vhosts"], capture_output=True, text=True, check=False)
    if name in listed.stdout.split():
        return True
    steps = [["add_vhost", name], ["set_permissions", "-p", name, "guest", ".*", ".*", ".*"]]
    return all(
        subprocess.run(["rabbitmqctl", "-q", *step], capture_output=True, check=False).returncode == 0 for step in steps
    )


def can_divide(found: dict[str, str]) -> bool:
    """Return whether several runs of tests at once can have virtual hosts of their own, which are made here."""
    if not found[RABBITMQ.variable].endswith(f"/{TEST_VHOST}"):
        return False
    return all(make_vhost(f"{TEST_VHOST}-{worker}") for worker in TEST_WORKERS)


def redis_url(in_container: bool, for_tests: bool) -> str:
    return f"redis://{HOST}:{REDIS.port}/{TEST_REDIS_DATABASE if for_tests else 0}"


def postgresql_url(in_container: bool, for_tests: bool) -> str:
    """Return the URL of the database `vsm`, made with its role where they are missing."""
    password = kept_secret("VSM_POSTGRES_PASSWORD")
    server = f"postgresql://vsm:{quote(password, safe='')}@{HOST}:{POSTGRESQL.port}"
    url = f"{server}/vsm"
    if not opens(url) and opens(f"{server}/postgres"):
        with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE vsm")
    elif not opens(url):
        make_database(password)
        if not opens(url):
            raise Unavailable("The PostgreSQL database `vsm` cannot be opened; set DATABASE_URL.")
    return url


def opens(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def make_database(password: str) -> None:
    """Make role and database as PostgreSQL's own superuser, which root may become.

    A role `vsm` that is there already belongs to somebody: its password is left alone, and making it fails.
    """
    statements = sql.SQL("CREATE ROLE vsm LOGIN CREATEDB PASSWORD {};\nCREATE DATABASE vsm OWNER vsm;\n")
    become = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    command = [*become, "psql", "-qX", "-v", "ON_ERROR_STOP=1", "-p", str(POSTGRESQL.port), "-d", "postgres"]
    say("Making the PostgreSQL database vsm")
    try:
        done = subprocess.run(
            command, input=statements.format(sql.Literal(password)).as_string(), text=True, cwd="/", check=False
        )
    except OSError as error:
        raise Unavailable(f"The PostgreSQL database `vsm` cannot be made ({error}); set DATABASE_URL.") from None
    if done.returncode:
        raise Unavailable(
            "The PostgreSQL database `vsm` cannot be made: this user may not, or a role or database of that name "
            "belongs to somebody else. Run as root, or set DATABASE_URL."
        )


def kept_secret(name: str) -> str:
    """Return a password made on first use and kept in a file that only its owner can read."""
    lines = SECRETS.read_text().splitlines() if SECRETS.exists() else []
    kept = dict(line.split("=", 1) for line in lines if "=" in line)
    if name not in kept:
        SECRETS.parent.mkdir(parents=True, exist_ok=True)
        SECRETS.touch(mode=0o600)
        kept[name] = secrets.token_urlsafe(18)
        SECRETS.write_text("".join(f"{key}={value}\n" for key, value in kept.items()))
    return kept[name]


def run(command: list[str], *, env: dict[str, str] | None = None) -> None:
    """Run a command whose output is only of interest when it fails."""
    done = subprocess.run(
        command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        say(done.stdout[-2000:])
        raise Unavailable(f"`{' '.join(command)}` failed.")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


ADDRESS = {RABBITMQ: rabbitmq_url, REDIS: redis_url, POSTGRESQL: postgresql_url}

if __name__ == "__main__":
    sys.exit(main())
