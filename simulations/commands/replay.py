"""`replay`: a saved plan, run again."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from simulations.commands.console import BROKEN, CLEAN, say, write, write_json
from simulations.commands.options import add_command
from simulations.fuzzing.run import Result, run
from simulations.fuzzing.spec import Spec, load_spec

if TYPE_CHECKING:
    from simulations.commands.options import Commands


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "replay",
        says="run a saved plan again",
        more="Exit code 1 if it breaks a promise.",
        examples=("replay failure-17.jsonl", "replay failure-17.small.jsonl --log | less"),
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="a plan that `fuzz` saved")
    parser.add_argument(
        "--log", action="store_true", help="a line for each event, a column for each node"
    )
    parser.add_argument(
        "--messages", action="store_true", help="with --log: a line for each message too"
    )
    parser.set_defaults(command=replay)


def replay(options: Namespace) -> int:
    """Run a plan; answers the exit code."""
    spec = load_spec(options.file)
    say(options, f"seed {spec.seed}, {spec.nodes} nodes, {len(spec.faults)} faults")
    result = _run_with_log(options, spec) if options.log else run(spec)
    tell_result(options, result)
    return BROKEN if result.check else CLEAN


def _run_with_log(options: Namespace, spec: Spec) -> Result:
    from simulations.reports.columns import replay_with_log

    return replay_with_log(spec, lambda line: say(options, line), messages=options.messages)


def tell_result(options: Namespace, result: Result) -> None:
    """Say how a run ended."""
    if options.json:
        write_json(msgspec.to_builtins(result))
    elif result.check:
        write(f"broken: {result.message}")
    else:
        write(f"clean: {result.events} events, {result.vertices} vertices, digest {result.digest}")
