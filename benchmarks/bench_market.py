"""How many messages a second of CPU order books take, ours beside those of the package index.

    python -m benchmarks.bench_market [--messages 200000] [--rounds 5] [--json]
    uv run --no-sync $(python -m benchmarks.bench_market --with) \
        python -m benchmarks.bench_market --peers

`core` is the stream that every book can play: limit orders and cancels. `capacity` is what the
market is for: offers and bids with tiers and expiries. Streams are made before the clock starts,
the collector is off, and engines take turns in every round, so that all share the machine's moods.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median

from benchmarks._harness import describe_machine, describe_revision, quantile
from benchmarks.peers.order_books import PEERS, VERSIONS, PeerBook
from market.book import Book
from market.orders import NewOrder
from market.plain_book import PlainBook
from market.streams import (
    CAPACITY_INSTRUMENT,
    CORE_INSTRUMENT,
    CapacityTranslator,
    translate_message,
)
from market.workload import Op, make_capacity, make_core

Run = Callable[[], int | None]
"""Plays a whole stream; answers the number of trades if it is known."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What one book did with one stream."""

    stream: str
    book: str
    per_cpu_s: int
    """Messages in a second of CPU, median of the rounds."""
    best_per_cpu_s: int
    trades: int | None


def play_plain(book: PeerBook, ops: Sequence[Op]) -> int | None:
    limit, cancel = book.limit, book.cancel
    for op in ops:
        if op[0] == "L":
            limit(op[1], op[2], op[3], op[4])
        else:
            cancel(op[1])
    return book.count_trades()


class OurPlainBook(PlainBook):
    """Our plain book, asked as the others are."""

    def count_trades(self) -> int:
        """All trades."""
        return len(self.trades)


def play_core(ops: Sequence[Op]) -> int:
    """The same through the whole book: accounts, terms, checks, events."""
    book = Book(CORE_INSTRUMENT)
    for op in ops:
        book.apply(translate_message(op, book))
    return book.snapshot().trades


def play_capacity(blocks: Sequence[tuple[int, NewOrder]]) -> int:
    """Decoded orders at their times."""
    book = Book(CAPACITY_INSTRUMENT)
    for now_ms, order in blocks:
        book.advance(now_ms)
        book.submit(order)
    return book.snapshot().trades


def play_capacity_ops(ops: Sequence[Op]) -> int:
    """The same, with the making of orders from the stream's tuples in the time."""
    book, translator = Book(CAPACITY_INSTRUMENT), CapacityTranslator()
    for op in ops:
        book.advance(op[2])
        book.submit(translator.translate(op))
    return book.snapshot().trades


def measure(stream: str, messages: int, runs: dict[str, Run], rounds: int) -> list[Figure]:
    """Every book once in every round."""
    rates: dict[str, list[float]] = {name: [] for name in runs}
    trades: dict[str, int | None] = {}
    for _ in range(rounds):
        for name, run in runs.items():
            gc.collect()
            gc.disable()
            start_s = time.process_time()
            trades[name] = run()
            rates[name].append(messages / (time.process_time() - start_s))
            gc.enable()
    return [
        Figure(stream, name, int(median(each)), int(max(each)), trades[name])
        for name, each in rates.items()
    ]


def measure_core(messages: int, rounds: int, peers: Sequence[str]) -> list[Figure]:
    """Ours and the others on one stream."""
    ops = list(make_core(messages, 1))

    def run(make: Callable[[], PeerBook]) -> Run:
        return lambda: play_plain(make(), ops)

    runs: dict[str, Run] = {"plain book": run(OurPlainBook), "book": lambda: play_core(ops)}
    runs |= {name: run(PEERS[name]) for name in peers}
    return measure("core", messages, runs, rounds)


def measure_capacity(messages: int, rounds: int, slack: int) -> list[Figure]:
    """The book with tiers, with and without making orders from tuples."""
    ops, translator = list(make_capacity(messages, 1, slack=slack)), CapacityTranslator()
    orders = [(op[2], translator.translate(op)) for op in ops]
    runs: dict[str, Run] = {
        "book": lambda: play_capacity(orders),
        "book, orders made in the time": lambda: play_capacity_ops(ops),
    }
    return measure(f"capacity, slack {slack}", messages, runs, rounds)


def measure_wait(messages: int) -> dict[str, float]:
    """Microseconds of CPU of single messages: the middle, the slowest in a hundred, the slowest."""
    book, translator, spent = Book(CAPACITY_INSTRUMENT), CapacityTranslator(), list[float]()
    for op in make_capacity(messages, 1):
        order = translator.translate(op)
        start_ns = time.thread_time_ns()
        book.advance(op[2])
        book.submit(order)
        spent.append((time.thread_time_ns() - start_ns) / 1e3)
    return {"p50_us": quantile(spent, 0.5), "p99_us": quantile(spent, 0.99), "max_us": max(spent)}


def find_installed() -> list[str]:
    """Peers that can be imported and take an order."""
    found = []
    for name, make in PEERS.items():
        try:
            make()
        except ImportError as error:
            print(f"# {name} is not here: {error}")
        else:
            found.append(name)
    return found


def print_table(figures: Sequence[Figure]) -> None:
    for figure in figures:
        trades = "" if figure.trades is None else f"{figure.trades:>9,} trades"
        print(
            f"{figure.stream:20} {figure.book:30} {figure.per_cpu_s:>11,}/s "
            f"(best {figure.best_per_cpu_s:>9,}) {trades}"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", action="store_true", help="measure other libraries as well")
    parser.add_argument("--with", action="store_true", dest="with_", help="print what uv brings")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if options.with_:
        print(" ".join(f"--with {name}=={version}" for name, version in VERSIONS.items()))
        return
    peers = find_installed() if options.peers else []
    figures = measure_core(options.messages, options.rounds, peers)
    for slack in (0, 200):
        figures += measure_capacity(options.messages, options.rounds, slack)
    wait = measure_wait(min(options.messages, 50_000))
    if options.json:
        about = {"revision": describe_revision(), **describe_machine()}
        print(json.dumps({**about, "figures": [asdict(each) for each in figures], "wait": wait}))
        return
    print_table(figures)
    print("one message: " + ", ".join(f"{name} {value:.1f}" for name, value in wait.items()))


if __name__ == "__main__":
    main()
