"""Shared vocabulary of the model."""

from __future__ import annotations

from enum import StrEnum


class Subsystem(StrEnum):
    """Beer's five systems under their canonical names (requirements 2-13)."""

    S1 = "s1"
    S2 = "s2"
    S3 = "s3"
    S4 = "s4"
    S5 = "s5"


TITLES = {
    Subsystem.S1: "Operations",
    Subsystem.S2: "Coordination",
    Subsystem.S3: "Control",
    Subsystem.S4: "Intelligence",
    Subsystem.S5: "Policy",
}


class AlertSeverity(StrEnum):
    """Alert severity, three levels (requirements 2-3)."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"
