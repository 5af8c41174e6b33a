"""The files that other programs read: compose, the example environment, the locks, the commands."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from subsystems.messaging.topology import CONSUMED
from vsm_site.environment import LEVEL_PREFIX, Environment

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SCHEMA = json.loads((ROOT / "tests/support/compose-spec/compose-spec.json").read_text())
EXAMPLE = (ROOT / ".env.example").read_text()
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def test_compose_follows_its_specification() -> None:
    """A key in the wrong place is ignored or refused only when somebody starts it."""
    mistakes = [f"{list(error.path)}: {error.message}" for error in Draft7Validator(SCHEMA).iter_errors(COMPOSE)]

    assert mistakes == []


def test_the_compose_schema_sees_mistakes() -> None:
    """A validator that accepts everything would prove nothing."""
    wrong = {"services": {"web": {"imagee": "x"}}}

    assert not Draft7Validator(SCHEMA).is_valid(wrong)


def test_compose_runs_every_part() -> None:
    """Half a platform looks alive."""
    assert {"rabbitmq", "redis", "postgres", "web", "worker", "algedonic", "beat", "receiver", "flower"} <= set(
        SERVICES
    )


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"prepare"}))
def test_a_service_says_whether_it_is_well(name: str) -> None:
    """Without a health check, what depends on it starts too early, and nobody sees it hang."""
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"


def test_compose_holds_no_secret() -> None:
    """A password in a file of the repository is everybody's."""
    text = (ROOT / "docker-compose.yml").read_text()
    named = re.findall(r"^\s*(\w*(?:PASSWORD|PASS|SECRET_KEY|BASIC_AUTH)\w*): (.+)$", text, re.MULTILINE)

    assert len(named) >= 5
    assert all(":?" in value for _, value in named)
    assert all("${" in password for password in re.findall(r"://\w+:([^@\s]+)@", text))


def test_each_queue_has_a_worker() -> None:
    """A queue nobody consumes fills in silence."""
    served = {queue for name in ("worker", "algedonic") for queue in SERVICES[name]["command"][3:]}

    assert served == {queue.routing_key for queue in CONSUMED}


def test_pain_has_a_worker_of_its_own() -> None:
    """Behind a slow task it would wait."""
    assert SERVICES["algedonic"]["command"][3:] == ["algedonic"]
    assert "algedonic" not in SERVICES["worker"]["command"][3:]


def test_the_example_environment_names_every_variable() -> None:
    """It is where people look for what can be changed."""
    variables = {
        "DATABASE_URL" if name == "database_url" else f"VSM_{name.upper()}" for name in Environment.model_fields
    }

    assert variables <= _example()


def test_the_example_environment_names_nothing_else() -> None:
    """A variable that does nothing misleads whoever sets it."""
    known = {"DATABASE_URL" if name == "database_url" else f"VSM_{name.upper()}" for name in Environment.model_fields}
    compose_only = set(re.findall(r"\$\{(VSM_\w+)", (ROOT / "docker-compose.yml").read_text()))
    extra = {name for name in _example() - known - compose_only if not name.startswith(LEVEL_PREFIX)}

    assert extra == set()


def test_each_example_has_a_sentence() -> None:
    """A name alone does not say what happens."""
    paragraphs = [block.splitlines() for block in EXAMPLE.split("\n\n")]
    lines = [line for block in paragraphs for line in block]
    bare = [
        line
        for before, line in zip(["", *lines], lines, strict=False)
        if re.match(r"#?\w+=", line) and before[:2] != "# "
    ]

    assert bare == ["#VSM_POSTGRES_PASSWORD="]  # shares the sentence above it


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements/test.txt"])
def test_a_lock_pins_each_package_by_hash_and_names_no_host(lock: str) -> None:
    """What is installed is what was tested, from whichever mirror the machine uses."""
    text = (ROOT / lock).read_text()
    entries = re.split(
        r"\n(?=[a-z0-9])", re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE).strip(), flags=re.IGNORECASE
    )

    assert len(entries) > 10
    assert [entry.splitlines()[0] for entry in entries if "==" not in entry or "--hash=sha256:" not in entry] == []
    assert "://" not in text


def test_the_continuous_integration_runs_all_tests() -> None:
    """The same command for a person and for the machine."""
    script = ROOT / ".ci/run"

    assert "exec make test" in script.read_text()
    assert script.stat().st_mode & 0o111


def _example() -> set[str]:
    return set(re.findall(r"^#?(VSM_\w+|DATABASE_URL)=", EXAMPLE, re.MULTILINE))
