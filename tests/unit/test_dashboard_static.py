"""Files that the browser gets: vendored ones are what they claim to be, and nothing needs a laxer CSP."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

DASHBOARD = Path(__file__).resolve().parents[2] / "vsm_site" / "dashboard"
UPLOT = DASHBOARD / "static" / "vendor" / "uplot"
TEMPLATES = sorted((DASHBOARD / "templates").rglob("*.html"))


def test_vendored_files_are_those_whose_checksums_are_on_record() -> None:
    """An edit of a vendored file would be lost, silently, with its next version."""
    recorded = dict(reversed(line.split("  ")) for line in (UPLOT / "SHA256SUMS").read_text().splitlines())

    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in UPLOT.iterdir()}
    del found["SHA256SUMS"]

    assert found == recorded
    assert "LICENSE" in recorded


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_has_nothing_that_the_content_security_policy_forbids(path: Path) -> None:
    """An inline script or style would only be noticed by its absence."""
    text = path.read_text()

    assert re.findall(r"<script(?![^>]*\bsrc=)", text) == []
    assert re.findall(r"<style|\sstyle=|\son[a-z]+=|javascript:", text) == []


def test_every_module_that_a_script_imports_exists() -> None:
    """There is no build step that would notice."""
    scripts = DASHBOARD / "static" / "dashboard" / "js"

    missing = {
        (path.name, name)
        for path in scripts.glob("*.js")
        for name in re.findall(r'from "\./([^"]+)"', path.read_text())
        if not (scripts / name).is_file()
    }

    assert missing == set()
