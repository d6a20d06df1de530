"""The repository stands alone: no trace of one machine, one index, or one person's folders."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tests.support.source_tree import ROOT

# Put together here, so that this file does not find itself.
MACHINE_PATHS = re.compile(
    "|".join(
        re.escape("".join(parts))
        for parts in [("/", "work/"), ("../", "shared"), (".", "library"), ("/", "root/")]
    )
)
PUBLIC_HOSTS = {"pypi.org", "files.pythonhosted.org"}


def tracked_files() -> list[str]:
    """Files under version control, or a skip where there is none, as in a source archive."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    return [name for name in listed.stdout.decode().split("\0") if name]


def test_tracked_files_name_no_machine_path():
    found = []
    for name in tracked_files():
        path = ROOT / name
        if not path.is_file():
            continue
        text = path.read_bytes().decode("utf-8", errors="replace")
        found += [f"{name}: {match.group()}" for match in MACHINE_PATHS.finditer(text)]
    assert not found


def test_lock_file_names_the_public_index_only():
    text = (ROOT / "uv.lock").read_text(encoding="utf-8")
    hosts = set(re.findall(r"[a-z]+://(?:[^/\"@]*@)?([^/\"]+)", text))
    assert hosts == PUBLIC_HOSTS


def test_lock_file_keeps_out_what_is_never_used():
    text = (ROOT / "uv.lock").read_text(encoding="utf-8")
    packages = set(re.findall(r'^name = "([^"]+)"', text, flags=re.MULTILINE))
    assert not packages & {"llama-cpp-python", "llm", "torch"}
