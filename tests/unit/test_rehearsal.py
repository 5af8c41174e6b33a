"""The quick road through the past is the slow one with its uneventful moments left out."""

from __future__ import annotations

import numpy as np
import pytest

from alerts import machine, rehearsal
from alerts.machine import Terms

MOMENTS = np.arange(400) * 60.0


def terms(no_data: list[int]) -> Terms:
    """Return those of three series: above 0.9, at least 0.8 with a recovery, below 0.05."""
    return Terms(
        np.array([0, 1, 3], np.int8), np.array([0.9, 0.8, 0.05]), np.array([0.5, 0.8, 0.2]),
        np.array([0.0, 120.0, 0.0]), np.array([0.0, 0.0, 180.0]), np.full(3, 90.0), np.array(no_data, np.int8),
        np.full((3, machine.MAX_STEPS), 0.99),
    )  # fmt: skip


@pytest.mark.parametrize("no_data", [[0, 0, 0], [2, 0, 2], [0, 1, 0]], ids=["keep", "mixed", "alarm"])
@pytest.mark.parametrize("seed", range(5))
def test_leaving_out_what_is_uneventful_changes_nothing(
    no_data: list[int], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thresholds, recoveries, pending times, silence: with gaps and noise the episodes are the same."""
    chance = np.random.default_rng(seed)
    values = np.where(chance.random((3, len(MOMENTS))) < 0.3, np.nan, chance.random((3, len(MOMENTS))))
    values[:, :50] = np.nan

    quick = rehearsal.rehearsed(values, MOMENTS, terms(no_data))
    monkeypatch.setattr(rehearsal, "_calm", lambda values, terms: np.zeros(values.shape[1], np.bool_))

    assert quick == rehearsal.rehearsed(values, MOMENTS, terms(no_data))
    assert quick
