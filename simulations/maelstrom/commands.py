"""What the command line does: be a node, or run a test.

    python -m simulations.maelstrom
    python -m simulations.maelstrom test --workload broadcast --nodes 5 --nemesis partition

A test ends with exit code 0 if every promise held, 1 if one was broken, 2 for what cannot be done,
130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from typing import TYPE_CHECKING, Final

import msgspec

from simulations.errors import SimulationError, Unreached
from simulations.maelstrom.checker import Verdict, check
from simulations.maelstrom.clients import WrongAnswer
from simulations.maelstrom.network import DISTRIBUTIONS
from simulations.maelstrom.plan import WORKLOADS, Plan
from simulations.maelstrom.processes import OWN_NODE, NodeGone, RealRun
from simulations.maelstrom.stdio import log, serve
from simulations.maelstrom.virtual import VirtualRun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simulations.maelstrom.trial import Trial

VALID: Final = 0
BROKEN: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out a command line; answers the exit code."""
    options = make_parser().parse_args(arguments)
    try:
        if options.command is None:
            serve(sys.stdin.fileno(), sys.stdout.fileno())
            return VALID
        return _test(options)
    except (NodeGone, Unreached, WrongAnswer) as error:
        _complain(error)
        return BROKEN
    except SimulationError as error:
        _complain(error)
        return USAGE
    except KeyboardInterrupt:
        return INTERRUPTED


def _complain(error: SimulationError) -> None:
    log(f"error: {error.message}" + (f" ({error.hint})" if error.hint else ""))


def make_parser() -> argparse.ArgumentParser:
    """Commands and options."""
    parser = argparse.ArgumentParser(
        prog="python -m simulations.maelstrom",
        description="Without a command: one node that speaks Maelstrom's protocol.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    test = commands.add_parser("test", help="run nodes under load, and judge what clients saw")
    plan = Plan()
    test.add_argument("-w", "--workload", choices=WORKLOADS, default=plan.workload)
    test.add_argument("--nodes", type=int, default=plan.nodes, help="how many (5)")
    test.add_argument("--rate", type=float, default=plan.rate, help="requests a second (10)")
    test.add_argument("--time-limit", type=float, default=10.0, help="seconds of load (10)")
    test.add_argument("--quiet", type=float, default=10.0, help="seconds of rest after it (10)")
    test.add_argument("--latency-ms", type=int, default=plan.latency_ms, help="one way (0)")
    test.add_argument("--latency-dist", choices=DISTRIBUTIONS, default=plan.distribution)
    test.add_argument("--loss", type=float, default=plan.loss, help="share of lines lost (0)")
    test.add_argument("--nemesis", choices=("none", "partition"), default="none")
    test.add_argument(
        "--nemesis-interval", type=float, default=2.5, help="seconds a partition lasts (2.5)"
    )
    test.add_argument("--seed", type=int, default=plan.seed)
    how = test.add_mutually_exclusive_group()
    how.add_argument("--simulated", action="store_true", help="in virtual time, reproducibly")
    how.add_argument("--bin", default="", help="test another program than this node")
    test.add_argument("--json", action="store_true", help="print one JSON document")
    return parser


def _make_plan(options: argparse.Namespace) -> Plan:
    return Plan(
        workload=options.workload,
        nodes=options.nodes,
        rate=options.rate,
        time_limit_ms=round(options.time_limit * 1_000),
        quiet_ms=round(options.quiet * 1_000),
        latency_ms=options.latency_ms,
        distribution=options.latency_dist,
        loss=options.loss,
        partitions=options.nemesis == "partition",
        partition_ms=round(options.nemesis_interval * 1_000),
        seed=options.seed,
    )


def _test(options: argparse.Namespace) -> int:
    plan = _make_plan(options)
    log(f"{plan.workload} on {plan.nodes} nodes, seed {plan.seed}")
    digest = ""
    if options.simulated:
        virtual = VirtualRun(plan, tell=log)
        trial = virtual.run()
        digest = virtual.digest
    else:
        command = shlex.split(options.bin) or OWN_NODE
        with RealRun(plan, command, tell=log) as real:
            trial = real.run()
    verdict = check(trial.clients.history)
    _report(options, trial, verdict, digest)
    return VALID if verdict.is_valid else BROKEN


def _report(options: argparse.Namespace, trial: Trial, verdict: Verdict, digest: str) -> None:
    per_op = trial.network.sent / max(verdict.operations, 1)
    load_per_op = trial.load_lines / max(verdict.operations, 1)
    if options.json:
        document = msgspec.to_builtins(verdict) | {
            "valid": verdict.is_valid,
            "messages": trial.network.sent,
            "messages_lost": trial.network.lost,
            "msgs_per_op": round(per_op, 2),
            "load_msgs_per_op": round(load_per_op, 2),
            "simulated": options.simulated,
            "digest": digest,
        }
        sys.stdout.write(json.dumps(document) + "\n")
        return
    for what in ("lost", "phantoms", "duplicates", "unread"):
        if found := getattr(verdict, what):
            sys.stdout.write(f"{what}: {', '.join(map(str, found))}\n")
    sys.stdout.write(
        f"{'valid' if verdict.is_valid else 'NOT valid'}: {verdict.operations} operations, "
        f"{verdict.acknowledged} values acknowledged, {len(verdict.lost)} lost, "
        f"{per_op:.1f} messages/operation ({load_per_op:.1f} under load), stable latency "
        f"median {verdict.stable_median_ms} ms, 95 % {verdict.stable_p95_ms} ms, "
        f"max {verdict.stable_max_ms} ms\n"
    )
