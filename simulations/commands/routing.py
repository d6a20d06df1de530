"""`routing`: which replica answers, by whose rule, and what users notice of it."""

from __future__ import annotations

import argparse
import textwrap
import time
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from simulations.commands.console import (
    BROKEN,
    CLEAN,
    INTERRUPTED,
    WIDTH_MAX,
    make_progress,
    note,
    say,
    write,
    write_json,
    write_table,
)
from simulations.commands.options import add_command, add_first_seed, add_workers, positive
from simulations.errors import SimulationError
from simulations.serving.faults import KINDS, SLOWDOWN
from simulations.serving.fleet import FLEETS
from simulations.serving.policies import OURS, POLICIES, SHORT, find_policy
from simulations.serving.synthetic import SHAPES

if TYPE_CHECKING:
    from simulations.commands.options import Commands
    from simulations.serving.comparison import Row
    from simulations.serving.outcome import Figures
    from simulations.serving.run import Spec


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "routing",
        says="compare routing policies on a trace of requests",
        more=textwrap.fill(
            "A trace is a file of the Mooncake format, or a drawn one: "
            f"{', '.join(SHAPES)}. Policies: {', '.join(POLICIES)}.",
            WIDTH_MAX - 2,
        ),
        examples=(
            "routing --requests 2000",
            "routing --trace FILE --policy all --straggler 8",
            "routing --trace bursty --load 2 --strict",
        ),
    )
    parser.add_argument("--trace", default="chat", metavar="FILE", help="file or name (chat)")
    parser.add_argument(
        "--policy", default="short", metavar="NAMES", help="with commas, or all (the best known)"
    )
    parser.add_argument("--fleet", choices=FLEETS, default="mixed", help="which replicas (mixed)")
    parser.add_argument("--replicas", type=positive, default=8, metavar="N", help="how many (8)")
    parser.add_argument("--routers", type=positive, default=6, metavar="N", help="how many (6)")
    parser.add_argument("--requests", type=positive, metavar="N", help="only so many of the trace")
    parser.add_argument("--load", type=_factor, default=1.0, metavar="X", help="times the rate (1)")
    parser.add_argument("--straggler", type=_factor, metavar="X", help="a replica slows down so")
    parser.add_argument(
        "--fault", choices=KINDS, metavar="KIND", help=f"for 30 %% of the run: {', '.join(KINDS)}"
    )
    parser.add_argument("--strict", action="store_true", help="users leave when it is too late")
    parser.add_argument("--chunked", action="store_true", help="prompts are computed in chunks")
    parser.add_argument("--seeds", type=positive, default=1, metavar="N", help="how many (1)")
    add_first_seed(parser)
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw it as PNG or SVG")
    add_workers(parser)
    parser.set_defaults(command=routing)


def routing(options: Namespace) -> int:
    """Run all policies with all seeds; answers the exit code."""
    from simulations.serving.comparison import COLUMNS, arrange, draw, find_best

    specs = _list_specs(options)
    begun_s = time.monotonic()
    results, is_whole = _carry_out(options, specs)
    rows = arrange(results)
    if not rows:
        return BROKEN if is_whole else INTERRUPTED
    took_s = time.monotonic() - begun_s
    if options.json:
        write_json(_make_document(options, rows, took_s))
    else:
        write_table(COLUMNS, [row.describe() for row in rows], figures=True)
        write(_conclude(rows, find_best(rows), took_s))
    if options.picture is not None:
        draw(rows, _describe(options), options.picture)
        say(options, f"picture: {options.picture}")
    if not is_whole:
        return INTERRUPTED
    return CLEAN if len(results) == len(specs) else BROKEN


def _list_specs(options: Namespace) -> list[Spec]:
    from simulations.serving.run import Spec

    if options.straggler is not None and options.fault not in (None, "straggler"):
        raise SimulationError("--straggler and another --fault", hint="one of them a run")
    if options.trace not in SHAPES and not Path(options.trace).is_file():
        raise SimulationError(
            f"no trace {options.trace!r}", hint=f"name a file, or one of {', '.join(SHAPES)}"
        )
    return [
        Spec(
            policy=policy,
            trace=options.trace,
            seed=seed,
            fleet=options.fleet,
            replicas=options.replicas,
            routers=options.routers,
            load=options.load,
            fault="straggler" if options.straggler is not None else options.fault,
            slowdown=options.straggler or SLOWDOWN,
            requests=options.requests or 0,
            is_chunked=options.chunked,
            is_strict=options.strict,
        )
        for seed in range(options.first_seed, options.first_seed + options.seeds)
        for policy in _list_policies(options.policy)
    ]


def _list_policies(text: str) -> list[str]:
    if text == "all":
        return list(POLICIES)
    if text == "short":
        return list(SHORT)
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        find_policy(name)
    if not names:
        raise SimulationError("no policy is named", hint=f"--policy {OURS}")
    return names


def _carry_out(
    options: Namespace, specs: list[Spec]
) -> tuple[list[tuple[str, int, Figures]], bool]:
    """All results there are, and whether nobody interrupted."""
    from simulations.serving.run import run
    from simulations.sweeps.choice import make_local_engine
    from simulations.sweeps.engines import Failure

    results: list[tuple[str, int, Figures]] = []
    with make_progress(options) as progress:
        bar = progress.add_task("routing", total=len(specs))
        try:
            for attempt in make_local_engine(options.workers).map_tasks(run, specs):
                progress.update(bar, advance=1)
                if isinstance(attempt.result, Failure):
                    note(progress, f"{attempt.item.policy} failed: {attempt.result.message}")
                else:
                    results.append((attempt.item.policy, attempt.item.seed, attempt.result))
        except KeyboardInterrupt:
            return results, False
    return results, True


def _make_document(options: Namespace, rows: list[Row], took_s: float) -> dict[str, object]:
    import msgspec

    return {
        "trace": Path(options.trace).name,
        "fleet": options.fleet,
        "replicas": options.replicas,
        "routers": options.routers,
        "load": options.load,
        "fault": "straggler" if options.straggler is not None else options.fault,
        "seeds": options.seeds,
        "took_s": round(took_s, 1),
        "policies": {
            row.policy: [
                {**msgspec.to_builtins(run), "ttft_s": None} | {"seed": options.first_seed + number}
                for number, run in enumerate(row.runs)
            ]
            for row in rows
        },
    }


def _conclude(rows: list[Row], best: Row | None, took_s: float) -> str:
    ours = next((row for row in rows if row.policy == OURS), None)
    tail = f"{len(rows[0].runs)} seeds, {took_s:.0f} s"
    if ours is None or best is None:
        return tail
    lead = ours.median("joint") - best.median("joint")
    return f"{OURS} is {lead:+.3f} in joint goodput against {best.policy}; {tail}"


def _describe(options: Namespace) -> str:
    trouble = f", straggler {options.straggler:g}x" if options.straggler is not None else ""
    trouble = trouble or (f", {options.fault}" if options.fault else "")
    name = Path(options.trace).stem
    return (
        f"{name}: {options.routers} routers, {options.replicas} replicas ({options.fleet}), "
        f"load {options.load:g}{trouble}"
    )


def _factor(text: str) -> float:
    factor = float(text)
    if factor <= 0:
        raise argparse.ArgumentTypeError(f"{factor} is not positive")
    return factor
