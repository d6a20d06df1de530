"""Recorded streams as accounts would say them: vertices of commits, signed by nobody.

The messages of `market.workload` become commands of accounts. Twenty messages are a block, ten
blocks a commit; what one account says in a commit is one batch, and a second one where it names an
order of the first, since a command has its name from its vertex. Prices are a hundred times those
of the stream, because a market's grid is coarser than one at such prices. Tiers keep their numbers,
and providers stand at the reputations that the stream says they have.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from dag.canonical import compute_digest, encode
from dag.order import Commit
from dag.vertex import SignedVertex
from market.commands import (
    Batch,
    CancelOrder,
    Command,
    PlaceOrder,
    ReduceOrder,
    ReplaceOrder,
    Stake,
    compute_command_id,
)
from market.genesis import Grant, MarketGenesis
from market.orders import Side, TimeInForce
from market.reputation import EPOCH_MS, TIERS_BP, Standing
from market.state import MarketState
from market.stores import SNAPSHOT_DECODER
from market.streams import CAPACITY_TIERS, SIDES, TIMES_IN_FORCE
from market.tiers import STANDARD_TIERS
from market.workload import FULL_OWNERS, MID_START, PER_BLOCK, PROVIDERS, USERS, Op
from tests.support.market_scene import NETWORK, Keys, MarketScene, make_vertex

BLOCK_MS: Final = 40
BLOCKS_PER_COMMIT: Final = 10
PRICE_SCALE: Final = 100
MONEY_URUV: Final = 10**15
CAP_LOTS: Final = 2**31
STANDING_URUV: Final = 10**15
"""What providers have earned and lost: so much that this run changes no reputation's tier."""
FIRST_USER: Final = 10_000
Commits = list[tuple[Commit, list[SignedVertex]]]


def name_account(owner: int) -> bytes:
    """The account of an owner of a stream."""
    return compute_digest(b"bench", owner.to_bytes(4, "big"))


def list_owners(workload: str) -> tuple[list[int], list[int]]:
    """Those who offer, and those who only buy."""
    if workload == "full":
        return list(range(1, FULL_OWNERS + 1)), []
    return list(range(1, PROVIDERS + 1)), list(range(FIRST_USER, FIRST_USER + USERS))


def open_market(providers: Iterable[bytes], buyers: Iterable[bytes]) -> MarketScene:
    """A market with a listed model and providers that have staked."""
    providers = list(providers)
    grants = tuple(Grant(account, MONEY_URUV) for account in (*providers, *buyers))
    scene = MarketScene(money=0)
    scene.state = MarketState(MarketGenesis(NETWORK, "ed25519", grants), Keys())
    scene.state.set_committee(scene.weights)
    scene.list_model()
    opening = (scene.make_attest(daily_cap_lots=CAP_LOTS), Stake(MONEY_URUV // 2))
    scene.apply(make_vertex(each, 1, encode(Batch(opening))) for each in providers)
    return scene


def give_reputations(scene: MarketScene, ops: Iterable[Op]) -> None:
    """Let every provider of `capacity` stand in the tier that its offers have in the stream."""
    tiers = {op[3]: find_tiers(op)[2] for op in ops if op[0] == "O"}
    epoch = scene.time_ms // EPOCH_MS
    rows = sorted(
        (name_account(owner), _make_standing(tier, epoch)) for owner, tier in tiers.items() if tier
    )
    stored = SNAPSHOT_DECODER.decode(scene.state.snapshot())
    scene.state.restore(encode(msgspec.structs.replace(stored, standings=tuple(rows))))


def _make_standing(tier: int, epoch: int) -> Standing:
    """One in the middle of a tier."""
    bounds = (*TIERS_BP, 10_000)
    share = (bounds[tier] + bounds[tier + 1]) // 2
    good = STANDING_URUV * share // 10_000
    return Standing(good, STANDING_URUV - good, epoch)


class Translator:
    """Makes the vertices of one commit after the other, and remembers who placed which order."""

    def __init__(self, scene: MarketScene) -> None:
        self._model: Final = scene.model
        self._start_ms: Final = scene.time_ms
        self._seqs: dict[bytes, int] = {}
        self._drafts: dict[bytes, list[tuple[int, Command]]] = {}
        """By account, what its next vertex says, each with the id of a new order in the stream."""
        self._owners: dict[int, bytes] = {}
        self._names: dict[int, bytes] = {}
        """By id in the stream, who placed an order and what its name is."""
        self._vertices: list[SignedVertex] = []

    def translate(self, ops: Iterable[Op]) -> list[SignedVertex]:
        """What is said in one commit."""
        for op in ops:
            if op[0] in {"C", "R", "P"}:
                self._change(op)
                continue
            owner, command = self._place(op)
            account = self._owners[op[1]] = name_account(owner)
            self._draft(account, op[1], command)
        for account in list(self._drafts):
            self._finish(account)
        vertices, self._vertices = self._vertices, []
        return vertices

    def _place(self, op: Op) -> tuple[int, PlaceOrder]:
        match op:
            case ("M", _, side, lots, owner):
                budget = 2 * MID_START * PRICE_SCALE * lots
                order = PlaceOrder(self._model, SIDES[side], None, lots, 0, TimeInForce.IOC)
                return owner, msgspec.structs.replace(order, budget=budget)
            case ("L", _, side, price, lots, owner, lifetime):
                in_force = TIMES_IN_FORCE[lifetime]
                price *= PRICE_SCALE
                return owner, PlaceOrder(self._model, SIDES[side], price, lots, 0, in_force)
        kind, _, _, owner, *_, price, lots, expiry = op
        tiers = STANDARD_TIERS.pack((*find_tiers(op)[:2], 0, find_tiers(op)[2], 0, 0))
        side = Side.OFFER if kind == "O" else Side.BID
        expires_ms = self._start_ms + (expiry + BLOCKS_PER_COMMIT) * BLOCK_MS
        price *= PRICE_SCALE
        return owner, PlaceOrder(self._model, side, price, lots, tiers, TimeInForce.GTD, expires_ms)

    def _change(self, op: Op) -> None:
        kind, id_, *rest = op
        account = self._owners[id_]
        if any(id_ == drafted for drafted, _ in self._drafts.get(account, ())):
            self._finish(account)
        order = self._names[id_]
        if kind == "C":
            self._draft(account, 0, CancelOrder(order))
        elif kind == "R":
            self._draft(account, 0, ReduceOrder(order, rest[0]))
        else:
            self._draft(account, 0, ReplaceOrder(order, rest[0] * PRICE_SCALE, rest[1]))

    def _draft(self, account: bytes, id_: int, command: Command) -> None:
        self._drafts.setdefault(account, []).append((id_, command))

    def _finish(self, account: bytes) -> None:
        """The vertex of an account is complete, and so its commands have names."""
        draft = self._drafts.pop(account)
        seq = self._seqs[account] = self._seqs.get(account, 1) + 1
        vertex = make_vertex(account, seq, encode(Batch(tuple(each for _, each in draft))))
        self._vertices.append(vertex)
        for place, (id_, _) in enumerate(draft):
            if id_:
                self._names[id_] = compute_command_id(vertex.id, place)


def make_stream_commits(scene: MarketScene, ops: Sequence[Op]) -> Commits:
    """Every message of a stream, in commits."""
    translator, step = Translator(scene), PER_BLOCK * BLOCKS_PER_COMMIT
    batches = [translator.translate(ops[at : at + step]) for at in range(0, len(ops), step)]
    return [(scene.make_commit(BLOCK_MS * BLOCKS_PER_COMMIT), each) for each in batches]


def find_tiers(op: Op) -> tuple[int, ...]:
    """Context, guarantee and reputation of an offer or bid of `capacity`, as tiers."""
    kind, _, _, _, context, sla, reputation_bp, *_ = op
    values = {"context": context, "sla": sla, "reputation_bp": reputation_bp}
    encode_side = CAPACITY_TIERS.encode_offer if kind == "O" else CAPACITY_TIERS.encode_bid
    return CAPACITY_TIERS.unpack(encode_side(values))
