"""Every Python block of the guides runs, and prints what its page shows."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from tests.support.doc_blocks import is_as_shown, pair_with_output, read_blocks, run_block
from tests.support.source_tree import ROOT

PAGES = sorted((ROOT / "docs").glob("guides/*.md"))
PYTHON_PAGES = [
    page for page in PAGES if any(block.language == "python" for block in read_blocks(page))
]

FILE_PAGES = [page for page in PAGES if any(block.file_name for block in read_blocks(page))]


@pytest.fixture(scope="module")
def running_node(tmp_path_factory):
    """The home folder of a node that runs as `meshnode up` runs it."""
    home = tmp_path_factory.mktemp("home")
    command = [sys.executable, "-m", "meshnode"]
    environ = {**os.environ, "MESHNODE_HOME": str(home)}
    options = ["--engine", "echo", "--api", "127.0.0.1:0", "--listen", "/ip4/127.0.0.1/tcp/0"]
    subprocess.run([*command, "up", *options], env=environ, check=True, capture_output=True)
    yield home
    subprocess.run([*command, "down"], env=environ, check=True, capture_output=True)


@pytest.mark.e2e
@pytest.mark.timeout(300)  # importing four frameworks takes its time on a busy machine
@pytest.mark.parametrize("page", PYTHON_PAGES, ids=lambda page: page.stem)
async def test_python_blocks_print_what_their_page_shows(page, running_node, tmp_path, monkeypatch):
    monkeypatch.setenv("MESHNODE_HOME", str(running_node))
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block, shown in pair_with_output(read_blocks(page)):
        printed = await run_block(block, namespace)
        assert is_as_shown(printed, shown), f"{block.place} printed:\n{printed}"


@pytest.mark.e2e
@pytest.mark.parametrize("page", FILE_PAGES, ids=lambda page: page.stem)
def test_test_files_of_a_page_pass_when_copied(page, tmp_path):
    for block in [block for block in read_blocks(page) if block.file_name]:
        (tmp_path / block.file_name).write_text(block.text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
