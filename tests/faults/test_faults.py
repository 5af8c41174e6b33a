"""Servers and processes are killed, cut off and restarted while messages travel: none is lost, none done twice.

The control, the common practice on the same servers under the same faults, must lose messages: a check that has never
seen a loss proves nothing. `python -m benchmarks.faults` runs the same with 100,000 messages and 20 faults.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.faults.plan import Kind, make_plan
from benchmarks.faults.servers import missing

ROOT = Path(__file__).resolve().parents[2]
LONGEST_SECONDS = 600  # on a machine that is busy with everything else
MESSAGES, FAULTS, SEED = 2_000, 5, 4

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"servers of its own to break: {missing()}")


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """One run, which every test of this module looks at."""
    options = {"--messages": MESSAGES, "--faults": FAULTS, "--seed": SEED, "--outage": 3, "--pause": 3}
    command = [sys.executable, "-m", "benchmarks.faults", "--json"]
    command += [str(part) for option in options.items() for part in option]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=LONGEST_SECONDS)
    assert done.stdout, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_no_accepted_message_is_lost_under_faults(found: dict[str, Any]) -> None:
    """What the platform said yes to happens, whoever dies on the way."""
    platform = found["platform"]

    assert platform["acknowledged"] >= MESSAGES
    assert (platform["lost"], platform["unexpected"]) == (0, 0), platform


def test_no_message_has_its_effect_twice_under_faults(found: dict[str, Any]) -> None:
    """A message that arrives again, because nobody knows whether it was handled, must do nothing."""
    assert found["platform"]["doubled"] == 0, found["platform"]


def test_the_event_log_is_whole_after_faults(found: dict[str, Any]) -> None:
    """Every message has its event, and the chain of their hashes verifies."""
    facts = found["platform"]["facts"]

    assert (facts["not_sealed"], facts["messages_without_event"]) == (0, 0)
    assert found["chain_holds"], found["chain"]


def test_the_common_practice_loses_messages_under_the_same_faults(found: dict[str, Any]) -> None:
    """The control shows that these faults do harm, and that the checker sees it."""
    assert found["control"]["lost"] > 0, found["control"]


def test_a_seed_repeats_its_plan() -> None:
    """A seed that failed must be able to fail again."""
    plans = [make_plan(seed, 20, 60, 17) for seed in (3, 3, 4)]

    assert plans[0] == plans[1] != plans[2]
    assert {fault.kind for fault in plans[0]} == set(Kind)
