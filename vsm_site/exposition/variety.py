"""How varied each system is, as last measured."""

from __future__ import annotations

from collections.abc import Iterator

from subsystems.telemetry.families import Family, gauge
from subsystems.variety import queries
from vsm_site.exposition.scope import Scope

SUBJECTS = ("environment", "operation", "management", "s1", "s2", "s3", "s4", "s5")


def variety(scope: Scope) -> Iterator[Family]:
    """Yield the figures of the newest readings. A ratio without bound is absent, like the unknown."""
    ratio = gauge("vsm_variety_ratio", "Variety of a controller over that of what it controls.", "system", "side")
    bits = gauge("vsm_variety_entropy", "Shannon entropy of the observed states, in bits.", "system", "subject")
    deficit = gauge("vsm_variety_deficit", "Bits of what is asked that no answer meets.", "system")
    samples = gauge("vsm_variety_sample_size", "Observations of the side that has fewer.", "system")
    for system_id, reading in queries.latest_readings(scope.systems, since=scope.now - queries.FRESH_SECONDS).items():
        slug, figures = scope.systems[system_id], reading.figures
        ratio.add(figures["ratio"], slug, "operation")
        ratio.add(figures["management_ratio"], slug, "management")
        for subject in SUBJECTS:
            bits.add(figures[subject], slug, subject)
        deficit.add(figures["deficit_bits"], slug)
        samples.add(figures["samples"], slug)
    yield from (ratio, bits, deficit, samples)
