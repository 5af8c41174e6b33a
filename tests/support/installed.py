"""Installs a project as pip would leave it, without pip: its packages and the metadata that names its entry points."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path


def install(project: Path, site: Path) -> None:
    """Put *project*, which has a src layout, into the folder *site*."""
    described = tomllib.loads((project / "pyproject.toml").read_text())["project"]
    for package in (project / "src").iterdir():
        shutil.copytree(package, site / package.name)
    metadata = site / f"{described['name'].replace('-', '_')}-{described['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {described['name']}\nVersion: 0.1.0\n")
    lines = []
    for group, points in described["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {module}" for name, module in points.items()), ""]
    (metadata / "entry_points.txt").write_text("\n".join(lines))
