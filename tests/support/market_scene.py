"""A market with accounts that have keys, driven by commits as consensus would make them."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence

from dag.canonical import compute_digest, encode
from dag.identity import compute_author_id, derive_public_keys
from dag.keys import PublicKeys, SecretKeys, derive_secret_keys
from dag.order import Commit, compute_commit_digest
from dag.types import LANE_SPEECH, Kind
from dag.vertex import SignedVertex, Vertex, compute_vertex_id
from market.commands import (
    Accept,
    Attest,
    Batch,
    Command,
    ListMotion,
    PlaceOrder,
    PostReceipt,
    Stake,
    compute_command_id,
)
from market.contracts import Contract
from market.events import Event
from market.genesis import Grant, MarketGenesis
from market.orders import Side, TimeInForce
from market.receipts import Receipt, SignedReceipt, sign_receipt
from market.state import MarketState
from market.tiers import STANDARD_TIERS

NETWORK = bytes([7]) * 32
START_MS = 1_800_000_000_000
RUV = 1_000_000
LISTING = ListMotion("kimi-k2/fp8", "own_weights", 2_500, "open", 0)
PLAIN = STANDARD_TIERS.pack((0,) * 6)


@functools.cache
def get_secrets(number: int) -> SecretKeys:
    return derive_secret_keys(number.to_bytes(32, "big"))


@functools.cache
def get_account(number: int) -> bytes:
    """Author id of the account of this number."""
    keys = derive_public_keys(get_secrets(number), "ed25519")
    return compute_author_id(keys.ed25519_key, b"")


@functools.cache
def find_keys() -> dict[bytes, PublicKeys]:
    return {
        get_account(each): derive_public_keys(get_secrets(each), "ed25519") for each in range(8)
    }


class Keys:
    """The keys of the accounts 0 to 7."""

    def get_keys(self, author: bytes) -> PublicKeys | None:
        return find_keys().get(author)


def make_tiers(context: int = 0, sla: int = 0, latency: int = 0, reputation: int = 0) -> int:
    return STANDARD_TIERS.pack((context, sla, latency, reputation, 0, 0))


def make_vertex(account: bytes, seq: int, body: bytes, kind: int = Kind.MARKET) -> SignedVertex:
    """A vertex as intake would hand it over; signatures are not looked at here."""
    vertex = Vertex(1, NETWORK, account, LANE_SPEECH, seq, seq + 1, kind, 0, (), body)
    return SignedVertex(compute_vertex_id(vertex), vertex, b"", b"")


class MarketScene:
    """A market whose accounts 0 to 3 are its committee and whose accounts have money."""

    def __init__(self, money: int = 1_000 * RUV, members: int = 4) -> None:
        grants = tuple(Grant(get_account(each), money) for each in range(8)) if money else ()
        self.state = MarketState(MarketGenesis(NETWORK, "ed25519", grants), Keys())
        self.weights = {get_account(each): 1 for each in range(members)}
        self.state.set_committee(self.weights)
        self.time_ms = START_MS
        self.index = 0
        self.digest = bytes(32)
        self.seqs = 0
        self.events: list[Event] = []
        self.model = b""
        self.commits: list[tuple[Commit, list[SignedVertex]]] = []

    # --- commits --------------------------------------------------------------------------------

    def make_commit(self, advance_ms: int = 100) -> Commit:
        self.time_ms += advance_ms
        self.index += 1
        digest = compute_commit_digest(self.digest, self.index, bytes(32), (), self.time_ms)
        commit = Commit(self.index, digest, self.digest, bytes(32), (), self.time_ms)
        self.digest = digest
        return commit

    def make_batch(self, account: int, *commands: Command) -> SignedVertex:
        self.seqs += 1
        return make_vertex(get_account(account), self.seqs, encode(Batch(commands)))

    def apply(self, vertices: Iterable[SignedVertex] = (), *, advance_ms: int = 100) -> list[Event]:
        """One commit with these vertices; answers its events."""
        held = list(vertices)
        commit = self.make_commit(advance_ms)
        self.commits.append((commit, held))
        self.state.apply(commit, held)
        self.check()
        self.events += self.state.events
        return list(self.state.events)

    def say(self, account: int, *commands: Command, advance_ms: int = 100) -> list[Event]:
        """One commit in which one account says something."""
        return self.apply([self.make_batch(account, *commands)], advance_ms=advance_ms)

    def wait(self, duration_ms: int) -> list[Event]:
        """One commit in which nobody says anything."""
        return self.apply(advance_ms=duration_ms)

    def check(self) -> None:
        check_money(self.state)

    # --- what often comes first -----------------------------------------------------------------

    def list_model(self, listing: ListMotion = LISTING) -> bytes:
        """The committee lists a model."""
        from market.attestation import compute_model_id

        for member in range(len(self.weights)):
            self.say(member, listing)
        self.model = compute_model_id(listing)
        return self.model

    def make_attest(self, **changes: object) -> Attest:
        fields: dict = {
            "model": self.model,
            "backend": "own_weights",
            "terms_digest": bytes(32),
            "terms_version": "modified MIT",
            "hardware_digest": bytes(32),
            "daily_cap_lots": 1_000_000,
            "opted_in": True,
            "shares_credentials": False,
        }
        return Attest(**{**fields, **changes})

    def make_provider(self, account: int, stake: int = 500 * RUV) -> None:
        """An account attests its backend and stakes."""
        self.say(account, self.make_attest(), Stake(stake))

    def make_order(self, side: Side, price: int | None, lots: int, **changes: object) -> PlaceOrder:
        fields: dict = {"tiers": PLAIN, **changes}
        return PlaceOrder(model=self.model, side=side, price=price, lots=lots, **fields)

    def bid(self, account: int, price: int | None, lots: int, **changes: object) -> bytes:
        return self.place(account, self.make_order(Side.BID, price, lots, **changes))

    def offer(self, account: int, price: int | None, lots: int, **changes: object) -> bytes:
        return self.place(account, self.make_order(Side.OFFER, price, lots, **changes))

    def place(self, account: int, order: PlaceOrder) -> bytes:
        """Place an order alone in a commit; answers its id."""
        vertex = self.make_batch(account, order)
        self.apply([vertex])
        return compute_command_id(vertex.id, 0)

    def trade(
        self, buyer: int = 4, provider: int = 5, price: int = 1_000, lots: int = 10
    ) -> Contract:
        """A contract between two accounts, locked."""
        self.offer(provider, price, lots)
        self.bid(buyer, price, lots, time_in_force=TimeInForce.IOC)
        return self.find_contract()

    def find_contract(self) -> Contract:
        (contract,) = self.state.contracts.rows.rows()
        return contract

    def deliver(
        self, buyer: int = 4, provider: int = 5, price: int = 1_000, lots: int = 10
    ) -> Contract:
        """A contract that the provider has accepted."""
        contract = self.trade(buyer, provider, price, lots)
        self.say(provider, Accept(contract.id))
        return contract

    def make_receipt(
        self, contract: Contract, /, seq: int, tokens: int, **changes: object
    ) -> Receipt:
        fields: dict = {
            "network": NETWORK,
            "contract": contract.id,
            "seq": seq,
            "tokens_in": 0,
            "tokens_out": tokens,
            "tokens_billed": tokens,
            "first_token_ms": 200,
            "transcript_root": compute_digest(b"test", seq.to_bytes(8, "big")),
            "final": False,
        }
        return Receipt(**{**fields, **changes})

    def post(self, receipt: Receipt, signers: Sequence[int] = (4, 5)) -> PostReceipt:
        """The command that carries a receipt with the signatures of buyer and provider."""
        return PostReceipt(sign_both(receipt, signers))

    def codes(self) -> list[str]:
        """Codes of what was refused in the last commit."""
        return [event.detail for event in self.state.events if event.kind == "refused"]

    def kinds(self) -> list[str]:
        """Kinds of what happened in the last commit."""
        return [event.kind for event in self.state.events]


def sign_both(receipt: Receipt, signers: Sequence[int] = (4, 5)) -> SignedReceipt:
    buyer, provider = (sign_receipt("ed25519", get_secrets(each), receipt) for each in signers)
    return SignedReceipt(encode(receipt), buyer, provider)


def check_money(state: MarketState) -> None:
    """Every micro-ruv is somewhere, and no place has less than nothing."""
    ledger = state.ledger
    assert ledger.count_all() == ledger.totals.minted
    held = sum(contract.held for contract in state.contracts.rows.rows())
    assert ledger.totals.held == held
    reserved: dict[bytes, int] = {}
    for order in state.desk.orders.rows():
        assert order.margin >= 0
        assert order.bond >= 0
        reserved[order.account] = reserved.get(order.account, 0) + order.margin + order.bond
    for account, row in ledger.accounts.items():
        assert min(row.free, row.reserved, row.staked, row.unbonding) >= 0
        assert row.reserved == reserved.get(account, 0)
    assert min(ledger.totals.burned, ledger.totals.pool, ledger.totals.held) >= 0
