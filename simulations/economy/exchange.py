"""A market in virtual time: what accounts say until the next commit is folded by it.

One state machine stands for that of every node, for they are all the same. What accounts say goes
into vertices as those of a mesh, but for signatures: whoever folds commits does not look at them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dag.canonical import encode
from dag.order import GENESIS_COMMIT_DIGEST, Commit, compute_commit_digest
from dag.types import LANE_SPEECH, Kind, Ref
from dag.vertex import SignedVertex, Vertex, compute_vertex_id
from market.attestation import compute_model_id
from market.commands import COMMANDS_MAX, Attest, Batch, Command, ListMotion, PlaceOrder, Stake
from market.events import REFUSED, Event
from market.genesis import Grant, MarketGenesis
from market.orders import RestingOrder, Side, TimeInForce
from market.reputation import Standing
from market.state import MarketState
from market.stores import SNAPSHOT_DECODER
from market.tiers import STANDARD_TIERS
from simulations.economy.accounts import SUITE, Account, Directory
from simulations.errors import CheckFailed
from simulations.results import Value
from simulations.streams import derive_seed

START_MS: Final = 1_800_000_000_000
"""A whole number of epochs, days and windows."""
COMMIT_MS: Final = 1_000
HOUR_MS: Final = 3_600_000
MEMBERS: Final = 4
QUORUM: Final = 3
"""Members whose motion carries."""
LISTING: Final = ListMotion("kimi-k2/fp8", "own_weights", 2_500, "open", 0)
PLAIN: Final = STANDARD_TIERS.pack((0,) * 6)
"""Tiers of an order that promises nothing, or asks for nothing, but the model."""
VERTEX_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Trade:
    """A contract as it was locked."""

    contract: bytes
    buyer: bytes
    provider: bytes
    price: int
    """Micro-ruv a lot."""
    lots: int
    time_ms: int


class Exchange:
    """One model that is traded, and everybody who trades it."""

    def __init__(self, seed: int, grants: Mapping[str, int], *, keeps_log: bool = False) -> None:
        """Begin with who has how many micro-ruv; the committee has listed the model."""
        self.directory: Final = Directory(seed)
        self.members: Final = [self.directory.add(f"member {each}") for each in range(MEMBERS)]
        self.network: Final = derive_seed(seed, "network")
        self.model: Final = compute_model_id(LISTING)
        held = tuple(Grant(self.directory.add(name).id, uruv) for name, uruv in grants.items())
        self._genesis: Final = MarketGenesis(self.network, SUITE, held)
        self.weights = {member.id: 1 for member in self.members}
        self.state: Final = self.make_state()
        self.time_ms = START_MS
        self.commits = self.commands = 0
        self.trades: list[Trade] = []
        self.refusals: dict[str, int] = {}
        """Commands that were refused, by code."""
        self._keeps_log: Final = keeps_log
        self._digest = GENESIS_COMMIT_DIGEST
        self._seqs: dict[bytes, int] = {}
        self._said: dict[bytes, list[Command]] = {}
        self._strange: list[SignedVertex] = []
        self.log: list[tuple[Commit, tuple[SignedVertex, ...]]] = []
        """All commits, if the exchange keeps them."""
        for member in self.members[:QUORUM]:
            self.say(member, LISTING)
        self.commit()

    @property
    def hours(self) -> float:
        """Virtual time since the start."""
        return (self.time_ms - START_MS) / HOUR_MS

    def make_state(self) -> MarketState:
        """The market before its first commit, under the present committee."""
        state = MarketState(self._genesis, self.directory)
        state.set_committee(self.weights)
        return state

    # --- saying ---------------------------------------------------------------------------------

    def say(self, account: Account, *commands: Command) -> None:
        """Put commands into the next commit."""
        self._said.setdefault(account.id, []).extend(commands)

    def bid(self, account: Account, price: int, lots: int, *, expires_ms: int | None = 0) -> None:
        """Ask for lots at no more than a price: until then, for a day (0), or at once (None)."""
        if expires_ms is None:
            until = TimeInForce.IOC
        else:
            until = TimeInForce.GTD if expires_ms else TimeInForce.GTC
        order = PlaceOrder(self.model, Side.BID, price, lots, PLAIN, until, expires_ms or 0)
        self.say(account, order)

    def offer(self, account: Account, price: int, lots: int, *, epochs: int = 0) -> None:
        """Offer lots at no less than a price; with epochs, so many in each of them."""
        order = PlaceOrder(self.model, Side.OFFER, price, lots, PLAIN, epochs=epochs)
        self.say(account, order)

    def open_shop(self, account: Account, stake: int) -> None:
        """Let an account attest its backend and stake money, as every provider must."""
        attest = Attest(
            model=self.model,
            backend="own_weights",
            terms_digest=bytes(32),
            terms_version="modified MIT",
            hardware_digest=bytes(32),
            daily_cap_lots=1 << 30,
            opted_in=True,
            shares_credentials=False,
        )
        self.say(account, attest, Stake(stake))

    def put(self, account: Account, body: bytes, *, kind: int, lane: int = LANE_SPEECH) -> None:
        """Put a vertex of any content into the next commit."""
        self._strange.append(self._make_vertex(account.id, body, kind, lane))

    # --- commits --------------------------------------------------------------------------------

    def commit(self, advance_ms: int = COMMIT_MS) -> tuple[Event, ...]:
        """Fold what was said, so much later; answers what happened. Raises `CheckFailed`."""
        self.time_ms += advance_ms
        self.commits += 1
        vertices = self._make_vertices()
        refs = tuple(Ref(each.vertex.lamport, each.id) for each in vertices)
        before, leader = self._digest, bytes(32)
        self._digest = compute_commit_digest(before, self.commits, leader, refs, self.time_ms)
        commit = Commit(self.commits, self._digest, before, leader, refs, self.time_ms)
        if self._keeps_log:
            self.log.append((commit, vertices))
        self.state.apply(commit, vertices)
        if self.state.count_imbalance():
            raise CheckFailed("P5 money", f"{self.state.count_imbalance()} uruv came from nowhere")
        for event in self.state.events:
            self._count(event)
        return self.state.events

    def _make_vertices(self) -> tuple[SignedVertex, ...]:
        said, self._said = self._said, {}
        vertices, self._strange = self._strange, []
        for author, commands in said.items():
            self.commands += len(commands)
            for first in range(0, len(commands), COMMANDS_MAX):
                batch = Batch(tuple(commands[first : first + COMMANDS_MAX]))
                vertices.append(self._make_vertex(author, encode(batch), Kind.MARKET, LANE_SPEECH))
        return tuple(vertices)

    def _make_vertex(self, author: bytes, body: bytes, kind: int, lane: int) -> SignedVertex:
        seq = self._seqs.get(author, 0)
        self._seqs[author] = seq + 1
        vertex = Vertex(
            version=VERTEX_VERSION,
            network=self.network,
            author=author,
            lane=lane,
            seq=seq,
            lamport=seq + 1,
            kind=kind,
            time_ms=self.time_ms,
            parents=(),
            body=body,
        )
        return SignedVertex(compute_vertex_id(vertex), vertex, b"", b"")

    def _count(self, event: Event) -> None:
        if event.kind == REFUSED:
            self.refusals[event.detail] = self.refusals.get(event.detail, 0) + 1
        elif event.kind == "contract_locked":
            row = self.state.contracts.rows.get(event.subject)
            # Both sides are told; a trade counts once, when its buyer is.
            if row is not None and event.account == row.buyer:
                trade = Trade(row.id, row.buyer, row.provider, row.price, row.lots, self.time_ms)
                self.trades.append(trade)

    # --- looking --------------------------------------------------------------------------------

    def list_orders(self, account: Account) -> Sequence[RestingOrder]:
        """What an account has in the book, oldest first."""
        book = self.state.desk.books.get(self.model)
        return book.list_owned(account.id) if book is not None else ()

    def list_resting(self, side: Side) -> Sequence[RestingOrder]:
        """What rests on a side, best first."""
        book = self.state.desk.books.get(self.model)
        return book.list_resting(side) if book is not None else ()

    def count_wealth(self, *accounts: Account) -> int:
        """All money that accounts have together, contracts aside."""
        rows = [self.state.ledger.get(account.id) for account in accounts]
        return sum(row.free + row.reserved + row.staked + row.unbonding for row in rows)

    def get_reputation(self, account: Account) -> int:
        """In basis points, as of the last commit."""
        return self.state.get_reputation(account.id)

    def find_standing(self, account: Account) -> Standing:
        """The fees behind an account's reputation, as the market stores them."""
        stored = SNAPSHOT_DECODER.decode(self.state.snapshot()).standings
        return next((row for key, row in stored if key == account.id), Standing())

    def describe(self) -> dict[str, Value]:
        """The row of a result that every run has: what was simulated, and how much."""
        return {
            "fidelity": "market",
            "crypto": "receipts",
            "events": self.commands,
            "commits": self.commits,
            "virtual_ms": self.time_ms - START_MS,
            "trades": len(self.trades),
            "refused": sum(self.refusals.values()),
            "digest": self.state.root().hex()[:32],
        }
