"""The wheel holds the five packages and nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from tests.support.source_tree import PACKAGES, ROOT, modules


def test_wheel_holds_exactly_the_packages(tmp_path: Path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert top == set(PACKAGES)
    assert {str(module) for module in modules(*PACKAGES)} <= set(names)
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)
    data = {str(path.relative_to(ROOT)) for path in (ROOT / "simulations").rglob("*.toml")}
    assert data
    assert data <= set(names)
    licences = {name.rsplit("/", 1)[-1] for name in names if "/licenses/" in name}
    assert licences == {"LICENSE-MIT", "LICENSE-APACHE"}
