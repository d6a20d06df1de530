"""Options that commands share, and how their values are read."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from simulations.errors import SimulationError
from simulations.sweeps.choice import ENGINES, EngineName, make_engine
from simulations.sweeps.engines import Engine

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - unnamed there


def add_command(
    commands: Commands, name: str, *, says: str, more: str = "", examples: tuple[str, ...]
) -> argparse.ArgumentParser:
    """Make the parser of a command, with `--json` and with examples in its help."""
    parser = commands.add_parser(
        name,
        help=says,
        description=f"{says[0].upper()}{says[1:]}.\n{more}".strip(),
        epilog="examples:\n" + "\n".join(f"  python -m simulations {one}" for one in examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add `--workers`."""
    parser.add_argument(
        "--workers", type=count, default=0, metavar="N", help="processes (one per core)"
    )


def add_first_seed(parser: argparse.ArgumentParser) -> None:
    """Add `--first-seed`."""
    parser.add_argument(
        "--first-seed", type=count, default=0, metavar="S", help="seed of the first run (0)"
    )


def add_campaign(parser: argparse.ArgumentParser, mutants: Collection[str]) -> None:
    """Add what every campaign of seeds takes: how many, which bug is on, where results go."""
    parser.add_argument("--seeds", type=positive, default=100, metavar="N", help="how many (100)")
    add_first_seed(parser)
    parser.add_argument(
        "--mutant", choices=mutants, default="", metavar="NAME", help="switch a seeded bug on"
    )
    parser.add_argument(
        "--results", type=Path, metavar="FILE", help="append results, and skip what is there"
    )
    add_workers(parser)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add `--set`; read them by `read_settings`."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="a parameter's value, or values to vary: nodes='[100, 200]'; may be repeated",
    )


def read_settings(options: argparse.Namespace) -> dict[str, str]:
    """The parameters of `--set`. Raises `SimulationError`."""
    settings: dict[str, str] = {}
    for text in options.settings:
        key, equals, value = text.partition("=")
        if not (key.strip() and equals):
            raise SimulationError(f"--set {text!r} sets nothing", hint="write --set KEY=VALUE")
        settings[key.strip()] = value.strip()
    return settings


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Add what decides where runs are carried out; read by `read_engine`."""
    parser.add_argument("--engine", choices=ENGINES, help="what carries out runs (processes)")
    add_workers(parser)
    parser.add_argument(
        "--scheduler", default="", metavar="ADDRESS", help="of a Dask cluster that exists"
    )


def read_engine(options: argparse.Namespace) -> Engine:
    """The engine that is asked for. Raises `SimulationError`."""
    name: EngineName = options.engine or ("dask" if options.scheduler else "processes")
    return make_engine(name, options.workers, options.scheduler)


def count(text: str) -> int:
    """A number that is not negative, for `argparse`."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is negative")
    return number


def positive(text: str) -> int:
    """A number from 1, for `argparse`."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def folder(text: str) -> Path:
    """A folder that is one or can become one, for `argparse`."""
    path = Path(text)
    if path.exists() and not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a file, not a folder")
    return path
