"""`sweep`: a scenario's whole grid with many seeds, resumable and on any engine."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from simulations.commands.console import write, write_json
from simulations.commands.execution import carry_out, get_exit_code, tell_summary
from simulations.commands.options import (
    add_command,
    add_engine,
    add_first_seed,
    add_settings,
    folder,
    positive,
    read_engine,
    read_settings,
)
from simulations.sweeps.shard import WHOLE, parse_shard
from simulations.sweeps.store import Store

if TYPE_CHECKING:
    from simulations.commands.options import Commands
    from simulations.scenarios.schema import Scenario

RESULTS: Final = Path("results")
SCENARIOS: Final = "scenarios"
"""Beside results, the files of scenarios that did not come with the package."""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "sweep",
        says="run a scenario's whole grid with many seeds, and keep every result",
        more="What is there is not run again: after Ctrl-C, the same command resumes.",
        examples=(
            "sweep coverage --seeds 20",
            "sweep mine.toml --set nodes='[100, 1000]' --results mine",
            "sweep coverage --seeds 100 --shard 2/8",
            "sweep coverage --scheduler tcp://10.0.0.1:8786",
        ),
    )
    parser.add_argument("scenario", metavar="NAME|FILE.toml", help="see `list`")
    parser.add_argument(
        "--seeds", type=positive, metavar="N", help="runs at each point (the scenario's own)"
    )
    add_first_seed(parser)
    add_settings(parser)
    parser.add_argument(
        "--results",
        type=folder,
        default=RESULTS,
        metavar="DIR",
        help=f"where results are kept ({RESULTS})",
    )
    parser.add_argument(
        "--shard", default="", metavar="I/N", help="only the I-th of N parts, for one of N machines"
    )
    parser.add_argument("--retry-failed", action="store_true", help="run again what failed")
    add_engine(parser)
    parser.set_defaults(command=sweep)


def sweep(options: Namespace) -> int:
    """Run a sweep; answers the exit code."""
    from simulations.scenarios.catalogue import load

    scenario = load(options.scenario)
    first, seeds = options.first_seed, options.seeds or scenario.seeds
    tasks = scenario.tasks(range(first, first + seeds), read_settings(options), grid=True)
    shard = parse_shard(options.shard) if options.shard else WHOLE
    engine = read_engine(options)
    keep_scenario(options.scenario, scenario, options.results)
    summary, took_s = carry_out(
        options,
        scenario.name,
        tasks,
        engine,
        Store(options.results),
        shard=shard,
        retry_failed=options.retry_failed,
    )
    if options.json:
        document = msgspec.to_builtins(summary) | {"scenario": scenario.name}
        write_json(document | {"results": str(options.results), "took_s": round(took_s, 1)})
    else:
        write(tell_summary(scenario.name, summary, took_s))
        write(
            "the same command resumes"
            if summary.interrupted
            else f"see it: python -m simulations report {options.results}"
        )
    return get_exit_code(summary)


def keep_scenario(given: str, scenario: Scenario, results: Path) -> None:
    """Keep a scenario's file beside its results, so that a report needs nothing else."""
    if not given.endswith(".toml"):
        return
    place = results / SCENARIOS / f"{scenario.name}.toml"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(Path(given).read_bytes())
