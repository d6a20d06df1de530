"""`shrink`: a plan without what its failure does not need."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from simulations.commands.console import BROKEN, make_progress, say
from simulations.commands.options import add_command
from simulations.commands.replay import tell_result
from simulations.errors import SimulationError
from simulations.fuzzing.run import run
from simulations.fuzzing.shrink import shrink as shrink_spec
from simulations.fuzzing.spec import load_spec, save_spec

if TYPE_CHECKING:
    from simulations.commands.options import Commands


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "shrink",
        says="leave out of a plan what a failure does not need",
        examples=("shrink failure-17.jsonl", "shrink failure-17.jsonl --output small.jsonl"),
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="a plan that `fuzz` saved")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where to (FILE with .small)")
    parser.set_defaults(command=shrink)


def shrink(options: Namespace) -> int:
    """Write the smaller plan; answers the exit code, which is that of a broken promise."""
    spec = load_spec(options.file)
    say(options, f"seed {spec.seed}, {spec.nodes} nodes, {len(spec.faults)} faults")
    check = run(spec).check
    if not check:
        raise SimulationError(f"{options.file} breaks no promise", hint="nothing to shrink")
    with make_progress(options) as progress:
        bar = progress.add_task(check, total=None)
        small = shrink_spec(
            spec,
            check,
            tell=lambda runs, left: progress.update(
                bar, completed=runs, description=f"{check}: {left} faults left"
            ),
        )
    path: Path = options.output or options.file.with_suffix(".small.jsonl")
    save_spec(small, path)
    say(options, f"{len(spec.faults)} faults shrunk to {len(small.faults)}: {path}")
    tell_result(options, run(small))
    return BROKEN
