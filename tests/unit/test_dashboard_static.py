"""Files that the browser gets: vendored ones are what they claim to be, and nothing needs a laxer CSP."""

from __future__ import annotations

import gzip
import hashlib
import re
from pathlib import Path

import pytest

from vsm_site.dashboard.navigation import GROUPS
from vsm_site.dashboard.templatetags.modules import imports

DASHBOARD = Path(__file__).resolve().parents[2] / "vsm_site" / "dashboard"
VENDORED = sorted((DASHBOARD / "static" / "vendor").iterdir())
TEMPLATES = sorted((DASHBOARD / "templates").rglob("*.html"))


@pytest.mark.parametrize("folder", VENDORED, ids=lambda folder: folder.name)
def test_vendored_files_are_those_whose_checksums_are_on_record(folder: Path) -> None:
    """An edit of a vendored file would be lost, silently, with its next version."""
    recorded = dict(reversed(line.split("  ")) for line in (folder / "SHA256SUMS").read_text().splitlines())

    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    del found["SHA256SUMS"]

    assert found == recorded
    assert "LICENSE" in recorded


def test_every_icon_that_is_named_is_there() -> None:
    """A missing one would be an empty square, silently."""
    icons = (DASHBOARD / "static" / "vendor" / "lucide" / "icons.svg").read_text()
    named = {entry.icon for group in GROUPS for entry in group.entries}
    for path in TEMPLATES:
        named |= set(re.findall(r'icon="([a-z0-9-]+)"', path.read_text()))

    assert {name for name in named if f'id="{name}"' not in icons} == set()


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


def test_a_page_asks_for_all_that_its_modules_import_at_once() -> None:
    """Each import found only after the last had come would be a journey over the line of its own."""
    scripts = DASHBOARD / "static" / "dashboard" / "js"
    named = {name for path in TEMPLATES for name in re.findall(r'{% module "([^"]+)" %}', path.read_text())}

    assert named <= {path.name for path in scripts.glob("*.js")}
    for name in named:
        loaded = {name, *imports(name)}
        wanted = {each for one in loaded for each in re.findall(r' from "\./([^"]+)"', (scripts / one).read_text())}
        assert wanted <= loaded, name


def test_all_scripts_and_styles_together_weigh_less_than_a_photograph() -> None:
    """A page that takes a second to arrive over a phone is not looked at in an emergency."""
    files = [path for path in (DASHBOARD / "static").rglob("*") if path.suffix in {".js", ".css", ".svg"}]

    weight = sum(len(gzip.compress(path.read_bytes())) for path in files)

    assert weight < 200_000
