"""The scripts behind the Makefile: they run on strangers' machines, where little may be assumed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import bootstrap
import run_tests
import services

ROOT = Path(__file__).resolve().parents[2]


def test_the_vendored_pip_is_the_one_that_was_checked() -> None:
    """It runs before any hash of any package is looked at."""
    assert bootstrap.digest(bootstrap.PIP_WHEEL) == bootstrap.PIP_SHA256


def test_a_changed_pip_is_not_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A wheel that is not what it should be must stop everything."""
    wheel = tmp_path / "pip.whl"
    wheel.write_bytes(b"something else")
    monkeypatch.setattr(bootstrap, "PIP_WHEEL", wheel)

    with pytest.raises(SystemExit):
        bootstrap.check_pip()


def test_nothing_is_done_when_everything_is_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The second `make up` must be quick."""
    stamp = tmp_path / "stamp.json"
    stamp.write_text(f'{{"requirements.txt": "{bootstrap.digest(ROOT / "requirements.txt")}"}}')
    monkeypatch.setattr(bootstrap, "STAMP", stamp)
    monkeypatch.setattr(bootstrap, "PYTHON", Path(sys.executable))
    monkeypatch.setattr(bootstrap, "make_environment", lambda: pytest.fail("made an environment"))
    monkeypatch.setattr(sys, "argv", ["bootstrap.py"])

    bootstrap.main()


def test_a_changed_lock_is_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """After a pull, old packages would fail in ways nobody understands."""
    stamp = tmp_path / "stamp.json"
    stamp.write_text('{"requirements.txt": "old"}')
    installed: list[str] = []
    monkeypatch.setattr(bootstrap, "STAMP", stamp)
    monkeypatch.setattr(bootstrap, "PYTHON", Path(sys.executable))
    monkeypatch.setattr(bootstrap, "make_environment", lambda: None)
    monkeypatch.setattr(bootstrap, "install", installed.append)
    monkeypatch.setattr(sys, "argv", ["bootstrap.py"])

    bootstrap.main()

    assert installed == ["requirements.txt"]
    assert bootstrap.read_stamp()["requirements.txt"] == bootstrap.digest(ROOT / "requirements.txt")


def test_without_a_new_enough_python_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A syntax error from some module would tell nobody what to install."""
    monkeypatch.setattr(bootstrap, "version_of", lambda path: (3, 9))

    with pytest.raises(SystemExit):
        bootstrap.find_python()

    assert "Python 3.11 or newer is needed" in capsys.readouterr().err


def test_an_environment_is_made_without_ensurepip(tmp_path: Path) -> None:
    """Debian's Python lacks it; ours must neither need it nor pip."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['ensurepip'] = sys.modules['pip'] = None\n")
    code = (
        "import sys, pathlib, bootstrap;"
        "bootstrap.VENV = pathlib.Path(sys.argv[1]); bootstrap.PYTHON = bootstrap.VENV / 'bin/python';"
        "bootstrap.make_environment(); bootstrap.check_pip()"
    )
    venv = tmp_path / "venv"
    environment = {"PYTHONPATH": f"{tmp_path}:{ROOT / 'scripts'}", "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", code, str(venv)], check=True, env=environment, capture_output=True)
    pip = [str(venv / "bin/python"), str(bootstrap.PIP_WHEEL / "pip"), "--version"]

    answer = subprocess.run(pip, check=True, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True)

    assert str(bootstrap.PIP_WHEEL) in answer.stdout


def test_a_given_url_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has servers elsewhere must not get others started."""
    given = {"VSM_BROKER_URL": "amqp://a/", "VSM_REDIS_URL": "redis://b/", "DATABASE_URL": "postgresql://c/d"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(services, "start_package", lambda server: pytest.fail("started a server"))

    assert services.urls() == given


def test_a_role_of_somebody_else_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """To change its password would lock its owner out."""
    asked: list[str] = []

    def refuse(command: list[str], *, input: str, **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(input)
        return subprocess.CompletedProcess(command, 3)

    monkeypatch.setattr(services, "kept_secret", lambda name: "it's secret")
    monkeypatch.setattr(services, "opens", lambda url: False)
    monkeypatch.setattr(services.subprocess, "run", refuse)

    with pytest.raises(services.Unavailable, match="belongs to somebody else"):
        services.postgresql_url(False, False)

    assert asked == ["CREATE ROLE vsm LOGIN CREATEDB PASSWORD 'it''s secret';\nCREATE DATABASE vsm OWNER vsm;\n"]


def test_a_made_up_password_is_kept_and_only_its_owner_can_read_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The second run must open what the first one made."""
    path = tmp_path / "vsm" / "services.env"
    monkeypatch.setattr(services, "SECRETS", path)

    first = services.kept_secret("VSM_POSTGRES_PASSWORD")
    services.kept_secret("VSM_RABBITMQ_PASSWORD")

    assert services.kept_secret("VSM_POSTGRES_PASSWORD") == first
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_brought_up_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person without root must learn what to ask for."""
    monkeypatch.setattr(services.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(services, "compose_works", lambda: False)

    with pytest.raises(services.Unavailable, match=r"RabbitMQ, Redis not found.*VSM_BROKER_URL, VSM_REDIS_URL"):
        services.bring_up([services.RABBITMQ, services.REDIS])


@pytest.mark.parametrize(
    ("failed", "not_run", "strict", "code"),
    [
        pytest.param(False, set(), False, 0, id="all passed"),
        pytest.param(True, set(), False, 1, id="one failed"),
        pytest.param(False, {"the browser"}, False, 0, id="something was left out"),
        pytest.param(False, {"the browser"}, True, 1, id="something was left out, and that is a failure here"),
    ],
)
def test_the_exit_code_tells_the_truth(
    failed: bool, not_run: set[str], strict: bool, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """A green run that left half out must say so."""
    assert run_tests.verdict(failed, not_run, strict=strict) == code

    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert ("the browser" in last) == bool(not_run)
