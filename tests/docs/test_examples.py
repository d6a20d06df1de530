"""Commands, settings and unit files of the docs are ones that the program and the system accept."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from typing import Any

import cyclopts
import pytest

from meshnode.cli.app import make_app
from meshnode.config_file import load_config, resolve_engine_options
from meshnode.engines.registry import create_engine
from simulations.commands import program as program_of_simulations
from simulations.maelstrom.commands import make_parser as make_maelstrom_parser
from simulations.scenarios.catalogue import names
from tests.support.doc_blocks import Block, read_blocks
from tests.support.source_tree import ROOT

PAGES = sorted((ROOT / "docs").glob("guides/*.md"))
BLOCKS = [block for page in PAGES for block in read_blocks(page)]


def find_commands(page) -> list[str]:
    """Every `meshnode ...` that a page shows, in prose, in a console block or indented."""
    found: list[str] = []
    for line in page.read_text(encoding="utf-8").splitlines():
        found += re.findall(r"^(?:\$ | {4})(meshnode [^|>#]*)", line)
        found += re.findall(r"`(?:sudo )?(meshnode [^`]*)`", line)
    return [command.strip() for command in found]


COMMANDS = [(page.name, command) for page in PAGES for command in find_commands(page)]


def test_pages_show_commands():
    assert len(COMMANDS) > 20


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=lambda value: str(value)[:60])
def test_shown_command_is_one_the_program_takes(page, command):
    words = shlex.split(command)[1:]
    if words[:1] == ["--home"]:
        words = [*words[2:], *words[:2]]
    try:
        make_app().parse_args(words, print_error=False, exit_on_error=False)
    except cyclopts.MissingArgumentError:
        assert "--" not in command, f"{page}: {command}"  # a command named in prose


SIMULATOR = [
    (page.name, command.strip())
    for page in [ROOT / "README.md", *PAGES]
    for command in re.findall(
        r"(?:^(?:\$ | {4})|`)python -m (simulations[^|>#`\n]*)",
        page.read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
]


@pytest.mark.parametrize(("page", "command"), SIMULATOR, ids=lambda value: str(value)[:60])
def test_shown_simulator_command_is_one_it_takes(page, command):
    program, *words = shlex.split(command)
    if program == "simulations" and words:
        options = program_of_simulations.make_parser().parse_args(words)
        name = getattr(options, "scenario", None)
        assert name is None or name.endswith(".toml") or name in names()
    elif words:
        assert program == "simulations.maelstrom", f"{page}: {command}"
        make_maelstrom_parser().parse_args(words)


def find(language: str) -> list[Any]:
    return [pytest.param(block, id=block.place) for block in BLOCKS if block.language == language]


@pytest.mark.parametrize("block", find("toml"))
def test_shown_settings_are_accepted(block: Block, tmp_path):
    (tmp_path / "config.toml").write_text(block.text, encoding="utf-8")
    config = load_config(tmp_path, environ={}).config
    options = resolve_engine_options(config.engine_options, {"EXAMPLE_API_KEY": "k"})
    assert config.engine is not None
    if config.engine == "none":
        return
    engine = create_engine(config.engine, options)
    assert engine.shareable == ("api_key" not in config.engine_options)


@pytest.mark.parametrize("block", find("ini"))
def test_shown_unit_is_accepted_by_systemd(block: Block, tmp_path):
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / "meshnode.service"
    unit.write_text(
        block.text.replace("/opt/meshnode/bin/meshnode", sys.executable), encoding="utf-8"
    )
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    complaints = [line for line in done.stderr.splitlines() if "meshnode" in line]
    assert not complaints
    assert done.returncode == 0, done.stderr
