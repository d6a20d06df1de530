"""`run`: a scenario as it presents itself, from a name to a picture."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from simulations.commands.console import open_page, write, write_json, write_table
from simulations.commands.execution import carry_out, get_exit_code, tell_summary
from simulations.commands.metrics import Metrics, fit, tabulate
from simulations.commands.options import (
    add_command,
    add_engine,
    add_settings,
    count,
    folder,
    positive,
    read_engine,
    read_settings,
)
from simulations.sweeps.store import Store
from simulations.sweeps.sweep import collect

if TYPE_CHECKING:
    from simulations.commands.options import Commands
    from simulations.reports import Report
    from simulations.results import Record
    from simulations.scenarios.schema import Scenario

OUTPUT: Final = Path("out")
RESULTS: Final = "results"


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "run",
        says="run a scenario and draw what it shows",
        more="Writes a report with pictures and tables.",
        examples=("run reach --open", "run coverage --set degree=8 --seeds 10"),
    )
    parser.add_argument("scenario", metavar="NAME|FILE.toml", help="see `list`")
    add_settings(parser)
    seeds = parser.add_mutually_exclusive_group()
    seeds.add_argument("--seed", type=count, metavar="S", help="only this one")
    seeds.add_argument(
        "--seeds", type=positive, metavar="N", help="runs at each point (the scenario's own)"
    )
    parser.add_argument(
        "--output", type=folder, metavar="DIR", help=f"where the report goes ({OUTPUT}/NAME)"
    )
    parser.add_argument("--open", action="store_true", help="open the report in a browser")
    add_engine(parser)
    parser.set_defaults(command=run)


def run(options: Namespace) -> int:
    """Run a scenario and report on it; answers the exit code."""
    from simulations.scenarios.catalogue import load

    scenario = load(options.scenario)
    seeds = range(options.seeds or scenario.seeds) if options.seed is None else [options.seed]
    tasks = scenario.tasks(seeds, read_settings(options), grid=True)
    output: Path = options.output or OUTPUT / scenario.name
    store = Store(output / RESULTS)
    summary, took_s = carry_out(options, scenario.name, tasks, read_engine(options), store)
    records = list(collect((task.key for task in tasks), store))
    report = _report(options, records, scenario, output) if records else None
    table = tabulate(records, scenario)
    if options.json:
        document = msgspec.to_builtins(summary) | {
            "scenario": scenario.name,
            "report": str(report.index) if report else "",
            "took_s": round(took_s, 1),
            "medians": [dict(zip(table.columns, row, strict=True)) for row in table.rows],
        }
        write_json(document)
        return get_exit_code(summary)
    _show(table)
    write(tell_summary(scenario.name, summary, took_s))
    if report is not None:
        _tell_report(report)
    return get_exit_code(summary)


def _report(options: Namespace, records: list[Record], scenario: Scenario, output: Path) -> Report:
    from simulations.reports import write_report

    report = write_report(records, scenario, output)
    if options.open:
        open_page(report.index)
    return report


def _tell_report(report: Report) -> None:
    pictures = [path for path in report.files if path.suffix == ".png"]
    if pictures:
        write(f"picture: {pictures[0]}")
    write(f"report: {report.index}")


def _show(table: Metrics) -> None:
    columns, rows, left = fit(table)
    if rows:
        write_table(columns, rows, figures=True)
    if left:
        write(f"{left} more rows in the report")
