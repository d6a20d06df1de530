"""Options that commands share."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path

import pytest

from simulations.commands.options import (
    add_engine,
    add_settings,
    count,
    folder,
    positive,
    read_engine,
    read_settings,
)
from simulations.errors import SimulationError
from simulations.sweeps.cluster import Cluster
from simulations.sweeps.engines import Serial
from simulations.sweeps.processes import Processes


def read(*arguments: str):
    parser = ArgumentParser()
    add_settings(parser)
    add_engine(parser)
    return parser.parse_args(arguments)


def test_settings_are_read_and_the_last_wins():
    options = read("--set", "nodes = 4", "--set", "name=a=b", "--set", "nodes=[1, 2]")
    assert read_settings(options) == {"nodes": "[1, 2]", "name": "a=b"}
    assert read_settings(read()) == {}


@pytest.mark.parametrize("text", ["nodes", "=4", " =4", ""])
def test_settings_that_set_nothing_are_refused(text: str):
    with pytest.raises(SimulationError, match="sets nothing"):
        read_settings(read("--set", text))


def test_the_engine_is_processes_unless_told():
    assert isinstance(read_engine(read()), Processes)
    assert isinstance(read_engine(read("--engine", "serial")), Serial)
    assert isinstance(read_engine(read("--scheduler", "tcp://10.0.0.1:8786")), Cluster)


def test_numbers_have_bounds():
    assert (count("0"), positive("1")) == (0, 1)
    with pytest.raises(ArgumentTypeError):
        count("-1")
    with pytest.raises(ArgumentTypeError):
        positive("0")


def test_a_file_is_no_folder(tmp_path: Path):
    assert folder(str(tmp_path / "new")) == tmp_path / "new"
    (tmp_path / "file").touch()
    with pytest.raises(ArgumentTypeError):
        folder(str(tmp_path / "file"))
