"""Rows of S4."""

from subsystems.s4_intelligence.patterns.models import (
    Pattern,
    PatternCell,
    PatternDetection,
    PatternEngine,
    PatternInput,
)

# Models of a package within the room: Django finds what this module names.
__all__ = ["Pattern", "PatternCell", "PatternDetection", "PatternEngine", "PatternInput"]
