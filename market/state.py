"""The market as a state machine over commits.

Every node folds the same commands in the same order and comes to the same state. A command that
cannot be followed is recorded with a code and leaves the state as it was; nothing here raises on
what an account says. `market.sequencing` says in which order the commands of a commit count, and
`market.handling` what each of them does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Final

from dag.canonical import encode
from dag.errors import MalformedMessage, MeshError
from dag.order import Commit
from dag.vertex import SignedVertex
from market.accounts import Ledger
from market.allowances import Allowances
from market.attestation import Compliance
from market.contracts import Contract, Contracts, Ended
from market.deadlines import DRAINED_MAX, Deadlines
from market.desk import Desk
from market.errors import Code, Refused
from market.events import Event, Trail
from market.genesis import MarketGenesis, check_genesis
from market.handling import Handler
from market.motions import Motions
from market.orders import Code as OrderCode
from market.parts import Parts
from market.receipts import KeyDirectory, ReceiptVerifier
from market.reputation import Reputation, Standing
from market.sequencing import Issued, arrange, read_commands
from market.stores import SNAPSHOT_DECODER, STATE_VERSION, compute_root
from market.unbonding import Unbondings
from market.windows import Windows


class MarketState:
    """Accounts, orders, contracts and all that belongs to them, after a commit."""

    def __init__(self, genesis: MarketGenesis, keys: KeyDirectory) -> None:
        """Begin with what genesis grants. Raises `Refused` for a genesis that cannot be."""
        check_genesis(genesis)
        self._verifier: Final = ReceiptVerifier(genesis.network, genesis.suite, keys)
        self._genesis: Final = genesis
        self._weights: dict[bytes, int] = {}
        self._index = self._time_ms = 0
        self._withdrawn: tuple[bytes, ...] = ()
        self._take_up(Parts(genesis, self._weights))
        for grant in genesis.grants:
            self._parts.ledger.mint(grant.account, grant.amount)

    def _take_up(self, parts: Parts) -> None:
        self._parts = parts
        self._handler = Handler(parts, self._verifier, self._weights)

    def set_committee(self, weights: Mapping[bytes, int]) -> None:
        """An epoch of consensus begins: whose motions and probes count, and how much."""
        self._weights.clear()
        self._weights.update(weights)

    def withdraw(self, accounts: Iterable[bytes]) -> None:
        """Take back all orders of accounts whose owners are out, with the commit that comes next."""
        self._withdrawn = tuple(accounts)

    # --- looking --------------------------------------------------------------------------------

    @property
    def events(self) -> tuple[Event, ...]:
        """What happened in the last commit, refusals included."""
        return self._parts.trail.events

    @property
    def opened(self) -> tuple[Contract, ...]:
        """The contracts of the last commit's trades, as they began; later commits change them."""
        return tuple(self._parts.contracts.opened)

    @property
    def ended(self) -> tuple[Ended, ...]:
        """The contracts that came to their end in the last commit."""
        return tuple(self._parts.contracts.ended)

    @property
    def index(self) -> int:
        """Index of the last commit."""
        return self._index

    @property
    def time_ms(self) -> int:
        """The time of the last commit; it never goes back."""
        return self._time_ms

    @property
    def ledger(self) -> Ledger:
        """Who has what; read-only for all but this package."""
        return self._parts.ledger

    @property
    def desk(self) -> Desk:
        """Books and open orders; read-only for all but this package."""
        return self._parts.desk

    @property
    def contracts(self) -> Contracts:
        """Live contracts; read-only for all but this package."""
        return self._parts.contracts

    @property
    def compliance(self) -> Compliance:
        """Listed models and attestations; read-only for all but this package."""
        return self._parts.compliance

    @property
    def windows(self) -> Windows:
        """Windows that are not judged yet; read-only for all but this package."""
        return self._parts.windows

    @property
    def trail(self) -> Trail:
        """Every account's chain of events; read-only for all but this package."""
        return self._parts.trail

    @property
    def motions(self) -> Motions:
        """What the committee moves; read-only for all but this package."""
        return self._parts.motions

    @property
    def allowances(self) -> Allowances:
        """What accounts may still say; read-only for all but this package."""
        return self._parts.allowances

    @property
    def unbondings(self) -> Unbondings:
        """Stake on its way out; read-only for all but this package."""
        return self._parts.unbondings

    @property
    def deadlines(self) -> Deadlines:
        """What ends by itself; read-only for all but this package."""
        return self._parts.deadlines

    def get_reputation(self, account: bytes) -> int:
        """An account's reputation as of the last commit, in basis points."""
        reputation: Reputation = self._parts.reputation
        return reputation.compute(account, self.ledger.get(account).bonded, self._time_ms)

    def get_standing(self, account: bytes) -> Standing:
        """What an account has done well and badly, as it counts as of the last commit."""
        return self._parts.reputation.look_up(account, self._time_ms)

    def count_imbalance(self) -> int:
        """How much money there is too much; anything but 0 means that this program is broken."""
        return self._parts.count_imbalance()

    # --- the state machine ----------------------------------------------------------------------

    def apply(self, commit: Commit, vertices: Sequence[SignedVertex]) -> None:
        """Fold one commit: its lane-0 vertices, in whatever order. Total: it never raises.

        Whoever folds looks at `count_imbalance` after it, and trusts nothing if it is not 0.
        """
        self._index = commit.index
        self._time_ms = max(self._time_ms, commit.time_ms)
        self._parts.trail.begin()
        self._handler.begin(self._index, self._time_ms, commit.digest)
        for subject in islice(self._parts.deadlines.take_due(self._time_ms), DRAINED_MAX):
            self._handler.expire(subject)
        for account in self._withdrawn:
            self._parts.desk.cancel_all(account, b"")
        self._withdrawn = ()
        self._parts.welcomes.take(vertices, self._time_ms)
        issued, unreadable = read_commands(vertices)
        for each in unreadable:
            self._refuse(each.account, each.vertex, Code.MALFORMED)
        self._follow(arrange(commit, issued))
        self._handler.end()
        self._parts.trail.end(self._time_ms)

    def _follow(self, commands: Iterable[Issued]) -> None:
        """Do what the commands say, or record why not."""
        allowances, routes, index = self._parts.allowances, self._handler.routes, self._index
        lefts: dict[bytes, int] = {}
        """What is left to each account that has said something."""
        for issued in commands:
            account, command = issued.account, issued.command
            left = lefts.get(account)
            if left is None:
                left = allowances.count(account, index)
            if left < 1:
                self._refuse(account, issued.id, Code.RATE_LIMITED)
                continue
            try:
                routes[type(command)](issued, command)
            except Refused as refusal:
                self._refuse(account, issued.id, refusal.reason)
            else:
                lefts[account] = left - 1
        allowances.settle(lefts, index)

    def _refuse(self, account: bytes, subject: bytes, code: Code | OrderCode) -> None:
        self._parts.trail.refuse(account, subject, str(code))

    def root(self) -> bytes:
        """A digest of the whole state; costs what has changed since the last one."""
        return compute_root((self._index, self._time_ms), self._parts.list_digests())

    def snapshot(self) -> bytes:
        """The whole state but for the committee, which the epoch gives."""
        return encode(self._parts.freeze(self._index, self._time_ms))

    def restore(self, snapshot: bytes) -> None:
        """Take up a snapshot; `set_committee` says which epoch it is of.

        Raises `MalformedMessage` or `MessageTooLarge`, and then nothing has changed.
        """
        state = SNAPSHOT_DECODER.decode(snapshot)
        if state.version != STATE_VERSION:
            raise MalformedMessage(
                f"market snapshot version {state.version} is not {STATE_VERSION}"
            )
        try:
            parts = Parts(self._genesis, self._weights, state)
        except MeshError as error:
            raise MalformedMessage(f"the snapshot is no market: {error.message}") from None
        if parts.count_imbalance():
            raise MalformedMessage("the snapshot is no market: its money does not add up")
        self._take_up(parts)
        self._index, self._time_ms = state.index, state.time_ms

    def next_deadline(self) -> int | None:
        """The commit time at which something is due, in milliseconds; None for nothing."""
        found = [self._parts.deadlines.find_next()]
        found += [book.find_expiry() for book in self._parts.desk.list_books()]
        return min((due_ms for due_ms in found if due_ms is not None), default=None)
