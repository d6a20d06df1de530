"""The simulator's command line as a whole: its help, its errors, its exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from simulations.commands import listing
from simulations.commands.program import MODULES, main, make_parser

COMMANDS = (
    "list",
    "run",
    "sweep",
    "report",
    "fuzz",
    "latency",
    "routing",
    "fuzz-order",
    "fuzz-market",
    "fuzz-members",
    "replay",
    "shrink",
    "mutants",
    "abuse",
)


def test_every_module_is_a_command():
    assert len(MODULES) == len(COMMANDS)
    for name in COMMANDS:
        assert name in make_parser().format_help()


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example_and_fits(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as exit_info:
        main([name, "--help"])
    assert exit_info.value.code == 0
    out = capsys.readouterr().out
    assert f"  python -m simulations {name}" in out
    assert "--json" in out
    assert max(map(len, out.splitlines())) <= 80


def test_an_error_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["replay", str(tmp_path / "nothing")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [[], ["dance"], ["fuzz", "--seeds", "0"], ["fuzz", "--workers", "-1"], ["report", __file__]],
)
def test_a_wrong_command_line_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    assert exit_info.value.code == 2
    assert "usage: " in capsys.readouterr().err


def test_an_interrupt_anywhere_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def interrupt(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(listing, "write_table", interrupt)
    assert main(["list"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_the_door_loads_nothing_heavy():
    script = (
        "import sys; from simulations.commands.program import make_parser; make_parser();"
        "heavy = ('rich', 'matplotlib', 'pyarrow', 'distributed', 'networkx', 'pydantic');"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_a_file_that_cannot_be_written_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    path = tmp_path / "nowhere" / "results.jsonl"
    assert main(["fuzz", "--seeds", "1", "--workers", "1", "--results", str(path)]) == 2
    assert f"error: {path}: No such file or directory; " in capsys.readouterr().err


def test_a_reader_that_leaves_early_is_no_error():
    list_to_nobody = f"{sys.executable} -m simulations list | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", list_to_nobody], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("0\n", "")
