"""What each boundary absorbs of variety (requirements 3.7: H(in) - H(out)), and which devices are named for it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

SUBSYSTEMS = ("s1", "s2", "s3", "s4", "s5")


def boundaries(variety: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the boundaries of a system from its newest reading of variety.

    Disturbances of the environment come out of the operation as outcomes; what the operation does comes out of the
    management as decisions; and each of S1 to S5 passes on to the next.
    """
    sides = [
        _boundary("environment", "outcome", variety["environment"], variety["outcome"], variety["operational"]),
        _boundary("operation", "management", variety["operation"], variety["management"], variety["managerial"]),
    ]
    systems = variety["subsystems"]
    return sides + [
        _boundary(lower, upper, systems[lower]["variety"], systems[upper]["variety"], systems[upper])
        for lower, upper in pairwise(SUBSYSTEMS)
    ]


def _boundary(
    source: str, target: str, told: Mapping[str, Any], passed: Mapping[str, Any], advised: Mapping[str, Any]
) -> dict[str, Any]:
    bits_in, bits_out = told["bits"], passed["bits"]
    known = bits_in is not None and bits_out is not None
    poor = "insufficient_data" in (told["confidence"], passed["confidence"])
    return {
        "from": source,
        "to": target,
        "in_bits": _rounded(bits_in),
        "out_bits": _rounded(bits_out),
        "absorbed_bits": _rounded(bits_in - bits_out) if known else None,
        "confidence": "unknown" if not known else "insufficient_data" if poor else "measured",
        "devices": [{"name": each["name"], "kind": each["kind"]} for each in advised["suggestions"]],
    }


def _rounded(bits: float | None) -> float | None:
    return None if bits is None else round(bits, 3)
