"""No configuration that cannot work starts silently."""

from __future__ import annotations

import pytest

from vsm_site.environment import ConfigurationError, load, subsystem_log_levels

SERVERS = {
    "VSM_PROFILE": "services",
    "VSM_BROKER_URL": "amqp://h/",
    "VSM_REDIS_URL": "redis://h/",
    "DATABASE_URL": "postgresql://h/d",
}


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        pytest.param({"VSM_PORT": "http"}, "VSM_PORT", id="a port that is no number"),
        pytest.param({"VSM_PORT": "70000"}, "VSM_PORT", id="a port beyond the range"),
        pytest.param({"VSM_PROFILE": "cloud"}, "VSM_PROFILE", id="an unknown profile"),
        pytest.param({"VSM_BROKER_URL": "http://x:s3cret@host"}, "VSM_BROKER_URL", id="a broker scheme nobody speaks"),
        pytest.param({"VSM_REDIS_URL": "memcached://h"}, "VSM_REDIS_URL", id="a Redis address that is none"),
        pytest.param({"VSM_BROKER_URL": "amqp:///vhost"}, "VSM_BROKER_URL", id="a broker without a host"),
        pytest.param({"DATABASE_URL": "s3cret"}, "DATABASE_URL", id="a database that is no address"),
        pytest.param({"DATABASE_URL": "mysql://x:s3cret@h/d"}, "DATABASE_URL", id="a database nobody has a driver for"),
        pytest.param({"DATABASE_URL": "postgresql://h:s3cret/d"}, "DATABASE_URL", id="a port that is a password"),
        pytest.param({"VSM_ALLOWED_HOSTS": " , "}, "VSM_ALLOWED_HOSTS", id="no host at all"),
        pytest.param({"VSM_HTTP_ALLOW": "10.0.0.0/8,10.0.0.0/99"}, "VSM_HTTP_ALLOW", id="no network"),
        pytest.param({**SERVERS, "VSM_BROKER_URL": "vsm://"}, "VSM_BROKER_URL", id="a broker inside one process"),
        pytest.param({**SERVERS, "DATABASE_URL": "sqlite:///x"}, "DATABASE_URL", id="several processes on SQLite"),
        pytest.param(
            {"VSM_PROFILE": "services", "VSM_BROKER_URL": "", "VSM_REDIS_URL": "", "DATABASE_URL": ""},
            "VSM_BROKER_URL, VSM_REDIS_URL, DATABASE_URL",
            id="services without servers",
        ),
    ],
)
def test_a_variable_that_cannot_work_is_named(
    variables: dict[str, str], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person reads one line and knows what to change; the value itself may be a secret and is never shown."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(ConfigurationError) as caught:
        load()

    assert named in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("variable", ["VSM_LOG_LEVEL_TELEMTRY", "VSM_LOG_LEVEL_"])
def test_a_log_level_of_nothing_is_named(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A typo would otherwise change nothing, silently."""
    monkeypatch.setenv(variable, "DEBUG")

    with pytest.raises(ConfigurationError, match=variable):
        subsystem_log_levels()


def test_log_levels_reach_the_loggers_of_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Alerts are no subsystem, and have a logger all the same."""
    monkeypatch.setenv("VSM_LOG_LEVEL_TELEMETRY", "DEBUG")
    monkeypatch.setenv("VSM_LOG_LEVEL_ALERTS", "ERROR")

    assert subsystem_log_levels() == {"subsystems.telemetry": "DEBUG", "alerts": "ERROR"}
