"""No configuration that cannot work starts silently."""

from __future__ import annotations

import pytest

from vsm_site.environment import ConfigurationError, load


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        pytest.param({"VSM_PORT": "http"}, "VSM_PORT", id="a port that is no number"),
        pytest.param({"VSM_PORT": "70000"}, "VSM_PORT", id="a port beyond the range"),
        pytest.param({"VSM_PROFILE": "cloud"}, "VSM_PROFILE", id="an unknown profile"),
        pytest.param({"VSM_BROKER_URL": "http://x:s3cret@host"}, "VSM_BROKER_URL", id="a broker scheme nobody speaks"),
        pytest.param({"VSM_REDIS_URL": "memcached://h"}, "VSM_REDIS_URL", id="a Redis address that is none"),
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
