"""Plays recorded streams, or cases of a file, through the order book.

    python -m market.conformance --workload core|full|capacity [--n N] [--seed S]
    python -m market.conformance FILE.json

The first prints how many messages, trades and resting orders there are, and digests of all three.
The second prints `ID pass`, or `ID FAIL ...`, one line per case, and exits with 1 if any failed.

This is a door for people and for other implementations. Nothing in the package imports it, and it
is the one module here that reads a file and writes lines.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Iterator, Sequence
from typing import Final

from dag.errors import MeshError
from market.scenario import Document, InvalidCase, parse_document, play
from market.streams import (
    CORE_INSTRUMENT,
    FULL_INSTRUMENT,
    digest_ops,
    digest_rows,
    play_capacity,
    play_messages,
)
from market.workload import make_capacity, make_core, make_full

FILE_BYTES_MAX: Final = 64 << 20
MESSAGES_MAX: Final = 10_000_000


def describe_stream(workload: str, count: int, seed: int, *, supply_bp: int, slack: int) -> str:
    """Make a stream, play it, and write what came of it in one line."""
    if workload == "capacity":
        ops = list(make_capacity(count, seed, supply_bp=supply_bp, slack=slack))
        outcome = play_capacity(ops)
    elif workload == "core":
        ops = list(make_core(count, seed))
        outcome = play_messages(ops, CORE_INSTRUMENT)
    else:
        ops = list(make_full(count, seed))
        outcome = play_messages(ops, FULL_INSTRUMENT)
    facts = {
        "trades": len(outcome.trades),
        "volume": outcome.sum_volume(),
        "resting": len(outcome.resting),
        "levels": outcome.count_levels(),
        "trade_digest": digest_rows(outcome.trades),
        "book_digest": digest_rows(outcome.resting),
    }
    limits = sum(op[0] in {"L", "O", "B"} for op in ops)
    cancels = sum(op[0] == "C" for op in ops)
    return (
        f"{workload} n={count} seed={seed} limits={limits} cancels={cancels} "
        f"{facts} ops_digest={digest_ops(ops)}"
    )


def run(document: Document) -> Iterator[tuple[str, bool]]:
    """Play every case of a document; gives one line each, and whether it passed."""
    for case in document.cases:
        try:
            wrong = play(case)
        except MeshError as error:
            yield f"{case.id} FAIL {error}", False
            continue
        if wrong is None:
            yield f"{case.id} pass", True
        else:
            expected, got = wrong.expected, wrong.got
            yield f"{case.id} FAIL {wrong.where}: expected {expected} got {got}", False


def main(arguments: Sequence[str]) -> int:
    """Do what the arguments ask for; answers the exit code."""
    options = _parse(arguments)
    if options.workload is not None:
        line = describe_stream(
            options.workload,
            options.n,
            options.seed,
            supply_bp=options.supply_bp,
            slack=options.slack,
        )
        sys.stdout.write(f"{line}\n")
        return 0
    try:
        document = parse_document(_read(options.file))
    except (OSError, InvalidCase) as error:
        sys.stderr.write(f"{options.file} cannot be read: {error}\n")
        return 2
    failed = 0
    for line, passed in run(document):
        sys.stdout.write(f"{line}\n")
        failed += not passed
    return 1 if failed else 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m market.conformance",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", nargs="?", metavar="FILE.json")
    parser.add_argument("--workload", choices=("core", "full", "capacity"))
    parser.add_argument("-n", "--n", type=int, default=200_000, help="messages")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--supply-bp", type=int, default=12_500, help="capacity: lots offered for 10,000 wanted"
    )
    parser.add_argument("--slack", type=int, default=0, help="capacity: lifts every bid's limit")
    options = parser.parse_args(arguments)
    if (options.file is None) == (options.workload is None):
        parser.error("name either a file or a workload")
    if not 0 <= options.n <= MESSAGES_MAX:
        parser.error(f"--n is from 0 to {MESSAGES_MAX}")
    if options.supply_bp < 0 or options.slack < 0:
        parser.error("--supply-bp and --slack are not negative")
    return options


def _read(path: str) -> bytes:
    with io.FileIO(path) as file:
        data = file.read(FILE_BYTES_MAX + 1) or b""
    if len(data) > FILE_BYTES_MAX:
        raise InvalidCase(f"a file has at most {FILE_BYTES_MAX} bytes")
    return data


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
