"""How many commands a second of CPU the whole market follows: money, books, contracts, events.

    python -m benchmarks.bench_market_state [--commands 20000] [--rounds 3] [--json]

Forty providers and four hundred buyers place orders with tiers, five in a vertex, two hundred in a
commit; about four in five find a partner at once. Providers never answer, so that every contract
also ends by its time-out. After each commit the money is counted, as nodes do. Allowances are
lifted, signatures are not part of it, and the collector is off. The order book alone plays the same
orders beside it, and the share of its speed that is left says more on a busy machine than a rate
does. What one command costs is measured with each alone in its commit.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import time
from dataclasses import asdict, dataclass
from statistics import median
from unittest import mock

from benchmarks._harness import describe_machine, describe_revision, quantile
from dag.canonical import compute_digest, encode
from dag.order import Commit
from dag.vertex import SignedVertex
from market.book import Book
from market.commands import Batch, PlaceOrder, Stake
from market.contracts import ACCEPT_MS
from market.desk import make_instrument
from market.genesis import Grant, MarketGenesis
from market.orders import NewOrder, Side
from market.sequencing import read_commands
from market.state import MarketState
from tests.support.market_scene import NETWORK, Keys, MarketScene, make_tiers, make_vertex

PROVIDERS = 40
BUYERS = 400
ORDERS_PER_VERTEX = 5
VERTICES_PER_COMMIT = 40
MONEY_URUV = 10**15
SEED = 1
SINGLE_COMMANDS = 4_000
SINGLE_SEQ = 1_000_000
"""Where the vertices of single commands begin, beyond those of the stream."""
Commits = list[tuple[Commit, list[SignedVertex]]]


@dataclass(frozen=True, slots=True)
class Figures:
    """Medians over the rounds."""

    commands: int
    commands_per_second: int
    book_orders_per_second: int
    share_of_book: float
    """How much of the book's speed is left once money and contracts are followed."""
    one_command_p50_us: float
    one_command_p99_us: float
    first_root_ms: float
    next_root_ms: float
    snapshot_ms: float
    snapshot_bytes: int


def make_scene() -> tuple[MarketScene, list[bytes]]:
    """A market with a listed model and providers that have staked."""
    accounts = [
        compute_digest(b"bench", bytes((n >> 8, n & 255))) for n in range(PROVIDERS + BUYERS)
    ]
    grants = tuple(Grant(account, MONEY_URUV) for account in accounts)
    scene = MarketScene(money=0)
    scene.state = MarketState(MarketGenesis(NETWORK, "ed25519", grants), Keys())
    scene.state.set_committee(scene.weights)
    scene.list_model()
    opening = (scene.make_attest(daily_cap_lots=2**31), Stake(MONEY_URUV // 2))
    scene.apply(make_vertex(each, 1, encode(Batch(opening))) for each in accounts[:PROVIDERS])
    return scene, accounts


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


def run_book(scene: MarketScene, commits: Commits) -> float:
    """The order book alone; answers orders per second."""
    model = scene.state.compliance.get_model(scene.model)
    book, orders = Book(make_instrument(model)), []
    for _, vertices in commits:
        for each in read_commands(vertices)[0]:
            order = each.command
            assert isinstance(order, PlaceOrder)
            orders.append(
                NewOrder(each.id, each.account, order.side, order.price, order.lots, order.tiers)
            )
    start = time.process_time()
    for new in orders:
        book.submit(new)
    return len(orders) / (time.process_time() - start)


def run(commands: int) -> Figures:
    """One round."""
    scene, accounts = make_scene()
    commits = make_commits(scene, accounts, commands)
    count = sum(len(read_commands(vertices)[0]) for _, vertices in commits)
    gc.collect()
    start = time.process_time()
    for commit, vertices in commits:
        scene.state.apply(commit, vertices)
        assert scene.state.count_imbalance() == 0
    rate = count / (time.process_time() - start)
    first_ms = measure(scene.state.root)
    scene.state.apply(
        scene.make_commit(), [make_vertex(accounts[0], 0, encode(Batch((Stake(1),))))]
    )
    next_ms, snapshot_ms = measure(scene.state.root), measure(scene.state.snapshot)
    size = len(scene.state.snapshot())
    book = run_book(scene, commits)
    spent = measure_single(scene, accounts, min(commands, SINGLE_COMMANDS))
    return Figures(
        count,
        int(rate),
        int(book),
        round(rate / book, 3),
        round(quantile(spent, 0.5), 1),
        round(quantile(spent, 0.99), 1),
        first_ms,
        next_ms,
        snapshot_ms,
        size,
    )


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


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
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
        rounds = [asdict(run(options.commands)) for _ in range(options.rounds)]
    if collects:
        gc.enable()
    figures = {name: median(each[name] for each in rounds) for name in rounds[0]}
    if options.json:
        print(
            json.dumps({"machine": describe_machine(), "revision": describe_revision(), **figures})
        )
        return
    for name, value in figures.items():
        print(f"{name:24} {value:>14,}")


if __name__ == "__main__":
    main()
