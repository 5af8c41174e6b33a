"""Real series that packages carry: measured by people, not made up for a benchmark. The platform never imports this."""

from __future__ import annotations

import csv
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
# `make bench` puts them there; last, so that the packages of the platform come before theirs.
sys.path.append(str(Path(__file__).resolve().parents[1] / ".venv" / "bench"))


@dataclass(frozen=True)
class Public:
    """A series, its seasons, and how it is cut: so much past is known, so much future is asked for."""

    name: str
    values: Floats
    past: int
    ahead: int
    periods: tuple[int, ...] = ()

    def cuts(self, most: int = 60) -> tuple[Floats, Floats]:
        """Return (past, future) of evenly spaced places, one row each."""
        last = len(self.values) - self.past - self.ahead
        starts = np.unique(np.linspace(0, last, most).astype(int))
        rows = np.stack([self.values[start : start + self.past + self.ahead] for start in starts])
        return rows[:, : self.past], rows[:, self.past :]


def folder(package: str) -> Path | None:
    """Return where a package lies, without importing it; None when it is not installed."""
    found = importlib.util.find_spec(package)
    return Path(found.origin).parent if found and found.origin else None


def column(path: Path, name: str) -> Floats:
    """Return one column of a table; what is no number is missing."""
    with path.open() as file:
        return np.array([_number(row[name]) for row in csv.DictReader(file)])


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan


def table(path: Path) -> Floats:
    """Return all months of a table with a row per year and a column per month, in order."""
    with path.open() as file:
        rows = list(csv.reader(file))[1:]
    return np.array([[_number(cell) for cell in row[1:]] for row in rows]).reshape(-1)


def all_series() -> list[Public]:
    """Return every series; an empty list when the packages are not installed (requirements/bench.txt)."""
    statsmodels, river = folder("statsmodels"), folder("river")
    if statsmodels is None or river is None:
        return []
    data, drift = statsmodels / "datasets", river / "drift" / "datasets"
    power = column(statsmodels / "tsa" / "stl" / "tests" / "results" / "mstl_elec_vic.csv", "y")
    macro = data / "macrodata" / "macrodata.csv"
    water = column(river / "datasets" / "water-flow.csv", "Water flow [l/s]")
    flights = column(drift / "airline_passengers.csv", "Total Passengers")
    return [
        Public("electricity demand, hourly", power, 672, 48, (24, 168)),
        Public("water flow, hourly", water, 504, 24, (24, 168)),
        *(
            Public(f"room {said}, every 16 minutes", column(drift / "occupancy.csv", name), 270, 30, (90,))
            for name, said in zip(("V1", "V2", "V3", "V4"), ("temperature", "humidity", "light", "CO2"), strict=True)
        ),
        Public("CO2 of the air, weekly", column(data / "co2" / "co2.csv", "co2"), 520, 52, (52,)),
        Public("sea temperature, monthly", table(data / "elnino" / "elnino.csv"), 240, 24, (12,)),
        Public("airline passengers, monthly", flights, 180, 24, (12,)),
        Public("unemployment, quarterly", column(macro, "unemp"), 80, 8, (4,)),
        Public("national product, quarterly", column(macro, "realgdp"), 80, 8, (4,)),
        Public("consumer prices, quarterly", column(macro, "cpi"), 80, 8, (4,)),
        Public("sunspots, yearly", column(data / "sunspots" / "sunspots.csv", "SUNACTIVITY"), 120, 11, (11,)),
        Public("the Nile, yearly", column(data / "nile" / "nile.csv", "volume"), 50, 5),
        Public("price of oil, daily", column(drift / "brent_crude_oil.csv", "DPB"), 250, 20, (5,)),
        Public("price of bitcoin, every three days", column(drift / "bitcoin.csv", "price"), 200, 10),
        Public("price of a share, daily", column(drift / "apple.csv", "Close"), 250, 20, (5,)),
    ]  # fmt: skip


def annotated() -> list[tuple[str, Floats, list[Sequence[int]]]]:
    """Return (name, series, the change points that each person marked): the Turing Change Point Dataset in river."""
    if folder("river") is None:
        return []
    from river.drift import datasets

    chosen = [
        (datasets.Occupancy(), {"temperature": "V1", "humidity": "V2", "light": "V3", "CO2": "V4"}),
        (datasets.RunLog(), {"pace": "Pace"}),
        (datasets.UKCoalEmploy(), {"miners": "Employment"}),
        (datasets.AirlinePassengers(), {"passengers": "Total Passengers"}),
    ]
    return [
        (said, column(Path(found.path), name), [list(marks) for marks in found.annotations.values()])
        for found, columns in chosen
        for said, name in columns.items()
    ]
