"""How many commands a second of CPU the whole market follows: money, books, contracts, events.

    python -m benchmarks.bench_market_state [--workload own|full|capacity] [--commands 20000]
                                            [--rounds 3] [--json]

`own`: forty providers and four hundred buyers place orders with tiers, five in a vertex, two
hundred in a commit; about four in five find a partner at once. `full` and `capacity` are the
streams of `market.workload` as accounts would say them (`benchmarks._market_streams`). Providers
never answer, so that every contract also ends by its time-out. After each commit the money is
counted, as nodes do. Allowances are lifted, signatures are not part of it, and the collector is
off. The order book alone plays the same messages in the same order beside it and must come to the
same trades; the share of its speed that is left says more on a busy machine than a rate does. What
one command costs is measured with each alone in its commit, with orders of `own`.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import time
from collections.abc import Sequence
from statistics import median
from typing import Final
from unittest import mock

from benchmarks._harness import describe_machine, describe_revision, quantile
from benchmarks._market_streams import (
    Commits,
    give_reputations,
    list_owners,
    make_stream_commits,
    name_account,
    open_market,
)
from dag.canonical import compute_digest, encode
from market.amounts import NOTIONAL_MIN_URUV
from market.book import Book
from market.commands import Batch, CancelOrder, PlaceOrder, ReduceOrder, ReplaceOrder, Stake
from market.contracts import ACCEPT_MS
from market.desk import make_instrument
from market.orders import Cancel, Message, NewOrder, Reduce, Replace, Side
from market.sequencing import Issued, arrange, read_commands
from market.workload import make_capacity, make_full
from tests.support.market_scene import MarketScene, make_tiers, make_vertex

WORKLOADS: Final = ("own", "full", "capacity")
PROVIDERS = 40
BUYERS = 400
ORDERS_PER_VERTEX = 5
VERTICES_PER_COMMIT = 40
SEED = 1
SINGLE_COMMANDS = 4_000
SINGLE_SEQ = 1_000_000
"""Where the vertices of single commands begin, beyond those of the stream."""


def make_scene() -> tuple[MarketScene, list[bytes]]:
    """The market of `own` and its accounts, providers first."""
    accounts = [
        compute_digest(b"bench", bytes((n >> 8, n & 255))) for n in range(PROVIDERS + BUYERS)
    ]
    return open_market(accounts[:PROVIDERS], accounts[PROVIDERS:]), accounts


def make_workload(workload: str, commands: int) -> tuple[MarketScene, Commits]:
    """A market and what is said in it."""
    if workload == "own":
        scene, accounts = make_scene()
        return scene, make_commits(scene, accounts, commands)
    providers, buyers = list_owners(workload)
    scene = open_market(map(name_account, providers), map(name_account, buyers))
    if workload == "full":
        return scene, make_stream_commits(scene, list(make_full(commands, SEED)))
    ops = list(make_capacity(commands, SEED))
    give_reputations(scene, ops)
    return scene, make_stream_commits(scene, ops)


def make_commits(scene: MarketScene, accounts: list[bytes], commands: int) -> Commits:
    """Commits with so many orders, the same in every run."""
    chance, seq, commits = random.Random(SEED), 1, []
    for _ in range(commands // (ORDERS_PER_VERTEX * VERTICES_PER_COMMIT)):
        vertices = []
        for _ in range(VERTICES_PER_COMMIT):
            seq += 1
            offers = chance.random() < 0.5
            account = chance.choice(accounts[:PROVIDERS] if offers else accounts[PROVIDERS:])
            orders = tuple(make_order(scene, chance, offers) for _ in range(ORDERS_PER_VERTEX))
            vertices.append(make_vertex(account, seq, encode(Batch(orders))))
        commits.append((scene.make_commit(400), vertices))
    return commits


def make_order(scene: MarketScene, chance: random.Random, offers: bool) -> PlaceOrder:
    """One order; bids pay a little more than offers ask."""
    price = 800 + 10 * chance.randrange(60 if offers else 80)
    tiers = make_tiers(chance.randrange(4), chance.randrange(3))
    side = Side.OFFER if offers else Side.BID
    return scene.make_order(side, price, chance.randint(1, 80), tiers=tiers)


def list_messages(commits: Commits) -> list[tuple[int, list[Message]]]:
    """What the book is told in each commit, in the order in which the state follows commands."""
    told = []
    for commit, vertices in commits:
        issued = arrange(commit, read_commands(vertices)[0])
        entering = {each.id for each in issued if isinstance(each.command, PlaceOrder)}
        early = [each for each in issued if getattr(each.command, "order", b"") in entering]
        prompt = [each for each in issued if each not in early] if early else issued
        messages = [make_message(each) for each in (*prompt, *early) if is_worth_it(each)]
        told.append((commit.time_ms, messages))
    return told


def is_worth_it(issued: Issued) -> bool:
    """Whether an order is not so small that no book hears of it."""
    command = issued.command
    if not isinstance(command, PlaceOrder) or command.price is None:
        return True
    return command.price * command.lots >= NOTIONAL_MIN_URUV


def make_message(issued: Issued) -> Message:
    """A command as its book is told it."""
    id_, account, command = issued.id, issued.account, issued.command
    match command:
        case CancelOrder():
            return Cancel(command.order, account)
        case ReduceOrder():
            return Reduce(command.order, account, command.lots)
        case ReplaceOrder():
            return Replace(command.order, account, command.price, command.lots)
    assert isinstance(command, PlaceOrder)
    return NewOrder(
        id_,
        account,
        command.side,
        command.price,
        command.lots,
        command.tiers,
        command.time_in_force,
        command.expires_ms,
        command.budget,
    )


def run_book(
    scene: MarketScene, told: Sequence[tuple[int, Sequence[Message]]]
) -> tuple[int, float]:
    """The order book alone; answers its trades, and messages per second."""
    book = Book(make_instrument(scene.state.compliance.get_model(scene.model)))
    start = time.process_time()
    for time_ms, messages in told:
        book.advance(time_ms)
        for message in messages:
            book.apply(message)
    spent = time.process_time() - start
    return book.trades, sum(len(messages) for _, messages in told) / spent


def run(workload: str, commands: int) -> dict[str, float]:
    """One round."""
    scene, commits = make_workload(workload, commands)
    told = list_messages(commits)
    count, state = sum(len(read_commands(each)[0]) for _, each in commits), scene.state
    gc.collect()
    start = time.process_time()
    for commit, vertices in commits:
        state.apply(commit, vertices)
        assert state.count_imbalance() == 0
    rate = count / (time.process_time() - start)
    trades, book = run_book(scene, told)
    if (mine := state.desk.books[scene.model].trades) != trades:
        raise SystemExit(f"{workload}: the state made {mine} trades where its book makes {trades}")
    figures = {
        "commands": count,
        "trades": trades,
        "open_orders": len(state.desk.orders),
        "commands_per_second": int(rate),
        "book_messages_per_second": int(book),
        "share_of_book": round(rate / book, 3),
        "first_root_ms": measure(state.root),
    }
    account = commits[0][1][0].vertex.author
    vertex = make_vertex(account, 0, encode(Batch((Stake(1),))))
    state.apply(scene.make_commit(), [vertex])
    figures |= {
        "next_root_ms": measure(state.root),
        "snapshot_ms": measure(state.snapshot),
        "snapshot_bytes": len(state.snapshot()),
    }
    return figures


def run_single(commands: int) -> dict[str, float]:
    """What single commands cost, in a market that is in use."""
    scene, accounts = make_scene()
    for commit, vertices in make_commits(scene, accounts, commands):
        scene.state.apply(commit, vertices)
    gc.collect()
    spent = measure_single(scene, accounts, min(commands, SINGLE_COMMANDS))
    return {
        "one_command_p50_us": round(quantile(spent, 0.5), 1),
        "one_command_p99_us": round(quantile(spent, 0.99), 1),
    }


def measure_single(scene: MarketScene, accounts: list[bytes], commands: int) -> list[float]:
    """Microseconds of CPU of commits that hold one order each, and end about one contract."""
    chance, spent = random.Random(SEED + 1), list[float]()
    scene.state.apply(scene.make_commit(ACCEPT_MS), [])
    for number in range(commands):
        offers = chance.random() < 0.5
        account = chance.choice(accounts[:PROVIDERS] if offers else accounts[PROVIDERS:])
        body = encode(Batch((make_order(scene, chance, offers),)))
        vertices = [make_vertex(account, SINGLE_SEQ + number, body)]
        commit = scene.make_commit(2)
        start_ns = time.thread_time_ns()
        scene.state.apply(commit, vertices)
        spent.append((time.thread_time_ns() - start_ns) / 1e3)
    return spent


def measure(call: object) -> float:
    """How long one call takes, in milliseconds of CPU."""
    assert callable(call)
    start = time.process_time()
    call()
    return round((time.process_time() - start) * 1_000, 2)


def summarise(workload: str, commands: int, rounds: int) -> dict[str, float]:
    """Medians over the rounds."""
    found = [run(workload, commands) for _ in range(rounds)]
    if workload == "own":
        found = [each | run_single(commands) for each in found]
    return {name: median(each[name] for each in found) for name in found[0]}


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--workload", choices=WORKLOADS, action="append", help="default: all")
    parser.add_argument("--commands", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    collects = gc.isenabled()
    gc.disable()
    with (
        mock.patch("market.allowances.BURST", 10**9),
        mock.patch("market.desk.ORDERS_PER_ACCOUNT_MAX", 10**9),
    ):
        figures = {
            workload: summarise(workload, options.commands, options.rounds)
            for workload in options.workload or WORKLOADS
        }
    if collects:
        gc.enable()
    if options.json:
        about = {"machine": describe_machine(), "revision": describe_revision()}
        print(json.dumps({**about, **figures}))
        return
    for workload, found in figures.items():
        print(workload)
        for name, value in found.items():
            print(f"  {name:24} {value:>14,}")


if __name__ == "__main__":
    main()
