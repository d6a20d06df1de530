"""`report`: pictures and tables of results that are there."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from simulations.commands.console import CLEAN, open_page, say, write_json
from simulations.commands.options import add_command, folder
from simulations.commands.sweep import RESULTS, SCENARIOS
from simulations.errors import SimulationError
from simulations.results import Record
from simulations.sweeps.store import Store

if TYPE_CHECKING:
    from simulations.commands.options import Commands
    from simulations.scenarios.schema import Scenario

REPORTS: Final = "reports"


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "report",
        says="draw the results of sweeps",
        more="One report for each scenario.",
        examples=("report results", "report results --output pictures --open"),
    )
    parser.add_argument(
        "results",
        type=folder,
        nargs="?",
        default=RESULTS,
        metavar="DIR",
        help=f"results of `sweep` ({RESULTS})",
    )
    parser.add_argument("--output", type=folder, metavar="DIR", help=f"where to (DIR/{REPORTS})")
    parser.add_argument("--open", action="store_true", help="open the reports in a browser")
    parser.set_defaults(command=report)


def report(options: Namespace) -> int:
    """Write a report for each scenario there are results of; answers the exit code."""
    from simulations.reports import write_report

    records, others = select(Store(options.results))
    if not records:
        raise SimulationError(
            f"there are no results in {options.results}",
            hint=f"make some: python -m simulations sweep NAME --results {options.results}",
        )
    if others:
        say(options, f"{others} results made by other sources are left out")
    output: Path = options.output or options.results / REPORTS
    indices: list[Path] = []
    for name, found in records.items():
        scenario = _find_scenario(name, options.results)
        indices.append(write_report(found, scenario, output / name).index)
        say(options, f"{name}: {len(found)} runs, {indices[-1]}")
    if options.open:
        for index in indices:
            open_page(index)
    if options.json:
        write_json({"reports": [str(index) for index in indices], "left_out": others})
    return CLEAN


def select(store: Store) -> tuple[dict[str, list[Record]], int]:
    """Results by scenario, and how many are left out.

    Results of the sources that run here are taken; if there are none, all are: a report of old
    results is better than none, one of a mixture is not.
    """
    current: dict[str, list[Record]] = {}
    others: dict[str, list[Record]] = {}
    for record in store:
        kept = current if record.key == record.task.key else others
        kept.setdefault(record.task.scenario, []).append(record)
    if not current:
        return others, 0
    return current, sum(map(len, others.values()))


def _find_scenario(name: str, results: Path) -> Scenario:
    from simulations.scenarios.catalogue import load

    own = results / SCENARIOS / f"{name}.toml"
    return load(own if own.exists() else name)
