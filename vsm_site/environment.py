"""The only module that reads the environment: typed, and loud when a variable cannot work."""

from __future__ import annotations

import os
from ipaddress import ip_network
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

ROOT = Path(__file__).resolve().parent.parent
Level = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
LEVELS: tuple[str, ...] = get_args(Level)
LEVEL_PREFIX = "VSM_LOG_LEVEL_"
CREDENTIAL_PREFIX = "VSM_CREDENTIAL_"
LAUNCHERS = {"subprocess", "systemd", "docker", "kubernetes"}
# What has a level of its own, and the logger it is: the subsystems by name, and what is above them.
LOGGERS = {found.parent.name: f"subsystems.{found.parent.name}" for found in ROOT.glob("subsystems/*/__init__.py")} | {
    "alerts": "alerts",
    "vsm_site": "vsm_site",
}


class ConfigurationError(SystemExit):
    """A variable that cannot work; the message names it."""


class Environment(BaseSettings):
    """Every variable the platform knows; `.env.example` has a sentence for each."""

    model_config = SettingsConfigDict(env_prefix="VSM_", env_file=ROOT / ".env", extra="ignore", populate_by_name=True)

    profile: Literal["embedded", "services"] = "embedded"
    home: Path = ROOT / "var"
    broker_url: str = ""
    redis_url: str = ""
    database_url: str = Field(default="", validation_alias="DATABASE_URL")
    secret_key: str = ""
    port: int = Field(default=8000, ge=1, le=65535)
    host: str = "127.0.0.1"
    allowed_hosts: str = "localhost,127.0.0.1,[::1]"
    trusted_origins: str = ""
    admin_user: str = "admin"
    admin_password: str = ""
    statsd_host: str = "127.0.0.1"
    statsd_port: int = Field(default=8125, ge=0, le=65535)
    flower_port: int = Field(default=5555, ge=0, le=65535)
    log_level: Level = "INFO"
    archive_url: str = ""
    archive_days: int = Field(default=365, ge=90)
    debug: bool = False
    secure_cookies: bool = False
    hot_max_samples: int = Field(default=1_000_000, ge=1_000)
    max_series: int = Field(default=100_000, ge=100)
    http_allow: str = ""
    external_url: str = ""
    time_zone: str = "UTC"
    heartbeat_url: str = ""
    ingest_max_bytes: int = Field(default=5_000_000, ge=1_000)
    ingest_rate: int = Field(default=100, ge=1, le=1_000_000)
    ingest_burst: int = Field(default=500, ge=1, le=1_000_000)
    # The phases of a roll-out (requirements 004-41): each can be switched off alone; the core is always on.
    telemetry: bool = True
    rate_limiting: bool = True
    event_processing: bool = True
    # What the parts agree on (requirements 004-42).
    message_format_version: Literal["1.0"] = "1.0"
    telemetry_batch_size: int = Field(default=100, ge=1, le=500)
    rate_limit_bypass_critical: bool = True
    pattern_detection_sensitivity: float = Field(default=0.8, ge=0.1, le=1)
    launchers: str = ""
    credentials_dir: Path = Path("/run/secrets")

    @field_validator("broker_url")
    @classmethod
    def _broker_scheme(cls, value: str) -> str:
        if value and value.split("://")[0] not in {"vsm", "amqp", "amqps", "redis", "rediss"}:
            raise ValueError("must start with amqp://, amqps://, redis:// or rediss://")
        return _with_host(value) if value and value != "vsm://" else value

    @field_validator("archive_url")
    @classmethod
    def _archive_scheme(cls, value: str) -> str:
        if value and value.split("://")[0] not in {"file", "s3", "gs"}:
            raise ValueError("must start with file://, s3:// or gs://")
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis_scheme(cls, value: str) -> str:
        if value and value.split("://")[0] not in {"redis", "rediss", "unix"}:
            raise ValueError("must start with redis://, rediss:// or unix://")
        return value

    @field_validator("database_url")
    @classmethod
    def _database_scheme(cls, value: str) -> str:
        if value and value.split("://")[0] not in {"postgres", "postgresql", "sqlite"}:
            raise ValueError("must start with postgresql:// or sqlite://")
        return value if value.startswith("sqlite") or not value else _with_host(value)

    @field_validator("allowed_hosts")
    @classmethod
    def _some_host(cls, value: str) -> str:
        if not value.strip(" ,"):
            raise ValueError("must name a host, or nobody could open a page")
        return value

    @field_validator("external_url", "heartbeat_url")
    @classmethod
    def _web_address(cls, value: str) -> str:
        if value and (not value.startswith(("http://", "https://")) or any(each.isspace() for each in value)):
            raise ValueError("must start with http:// or https://")
        return value.rstrip("/")

    @field_validator("time_zone")
    @classmethod
    def _zone_of_this_world(cls, value: str) -> str:
        try:
            return ZoneInfo(value).key
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("must be a time zone, such as Europe/Berlin or UTC") from None

    @field_validator("launchers")
    @classmethod
    def _kinds_of_launchers(cls, value: str) -> str:
        if unknown := {kind.strip() for kind in value.split(",") if kind.strip()} - LAUNCHERS:
            raise ValueError(f"knows {', '.join(sorted(LAUNCHERS))}; not {', '.join(sorted(unknown))}")
        return value

    @field_validator("http_allow")
    @classmethod
    def _networks(cls, value: str) -> str:
        for entry in value.split(","):
            if "/" in entry:
                ip_network(entry.strip(), strict=False)  # a ValueError that says what is wrong with it
        return value

    @model_validator(mode="after")
    def _services_need_servers(self) -> Environment:
        if self.profile == "services":
            wanted = {
                "VSM_BROKER_URL": self.broker_url,
                "VSM_REDIS_URL": self.redis_url,
                "DATABASE_URL": self.database_url,
            }
            missing = [name for name, value in wanted.items() if not value]
            if missing:
                raise ValueError(f"{', '.join(missing)} must be set when VSM_PROFILE=services")
            if self.broker_url.startswith("vsm://"):
                raise ValueError("VSM_BROKER_URL: vsm:// lives in one process; VSM_PROFILE=services has several")
            if self.database_url.startswith("sqlite"):
                raise ValueError("DATABASE_URL: VSM_PROFILE=services needs PostgreSQL, as its processes write at once")
        return self


def _with_host(url: str) -> str:
    try:
        parts = urlsplit(url)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:
        named = False
    if not named:
        raise ValueError("must name a host, as in scheme://user:password@host:port/name")
    return url


def load() -> Environment:
    """Read the environment. Raises SystemExit naming each variable that is wrong."""
    try:
        return Environment()
    except ValidationError as error:
        raise ConfigurationError(describe(error)) from None


def subsystem_log_levels() -> dict[str, str]:
    """Return the level of each logger that has its own: `VSM_LOG_LEVEL_TELEMETRY=DEBUG`.

    Raises SystemExit naming a variable whose subsystem or level does not exist.
    """
    found = {}
    for variable, level in os.environ.items():
        if not variable.startswith(LEVEL_PREFIX):
            continue
        subsystem = variable.removeprefix(LEVEL_PREFIX).lower()
        if subsystem not in LOGGERS:
            raise ConfigurationError(
                f"The configuration cannot work:\n  {variable}: there are {', '.join(sorted(LOGGERS))}"
            )
        if level not in LEVELS:
            raise ConfigurationError(
                f"The configuration cannot work:\n  {variable}: must be one of {', '.join(LEVELS)}"
            )
        found[LOGGERS[subsystem]] = level
    return found


def credentials() -> dict[str, str]:
    """Return the secrets that may be named elsewhere: `VSM_CREDENTIAL_CLUSTER` is `env:CLUSTER`."""
    return {
        variable.removeprefix(CREDENTIAL_PREFIX): value
        for variable, value in os.environ.items()
        if variable.startswith(CREDENTIAL_PREFIX)
    }


def describe(error: ValidationError) -> str:
    """Say in one line per mistake which variable is wrong and why, never its value (it may be a secret)."""
    lines = []
    for mistake in error.errors():
        name = str(mistake["loc"][0]) if mistake["loc"] else ""
        variable = name if name == "DATABASE_URL" or not name else f"VSM_{name.upper()}"
        lines.append(f"{variable}: {mistake['msg']}" if variable else mistake["msg"])
    return "The configuration cannot work:\n  " + "\n  ".join(lines)
