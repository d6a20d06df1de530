"""What people say to a market by chance: mostly what makes sense, now and then what does not."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final

from dag.canonical import encode
from dag.types import LANE_BLOCKS, LANE_SPEECH, Kind
from market.amounts import LOT_TOKENS, URUV_PER_RUV
from market.commands import (
    Accept,
    Attest,
    CancelAll,
    CancelOrder,
    Close,
    Command,
    Decline,
    Dispute,
    Finalise,
    ListMotion,
    MintMotion,
    PlaceOrder,
    PoolMotion,
    PostReceipt,
    ProveEquivocation,
    ReduceOrder,
    ReplaceOrder,
    ReportProbes,
    Revoke,
    Settle,
    Stake,
    Transfer,
    Unstake,
    VerdictMotion,
)
from market.contracts import Contract
from market.orders import Side, TimeInForce
from market.receipts import HalfSignedReceipt, Receipt, SignedReceipt, sign_receipt
from market.sla import PROBES_MAX
from market.tiers import STANDARD_TIERS
from simulations.economy.accounts import SUITE, Account
from simulations.economy.exchange import LISTING, Exchange

FOLK: Final = 6
PROVIDERS: Final = 4
MONEY_URUV: Final = 5 * URUV_PER_RUV
PRICES: Final = (500, 990, 1_000, 1_010, 2_000)
LASTING_MS: Final = (500, 50_000, 5_000_000)
STEPS_MS: Final = (10, 10, 100, 100, 100, 1_000, 1_000, 6_000, 40_000, 700_000, 4_000_000)
SILENCE_MS: Final = (30_000_000, 90_000_000, 1_300_000_000)
GARBAGE_BYTES_MAX: Final = 200
NOTHING: Final = bytes(32)


class Life:
    """A market in which people act at random; the same seed gives the same commits."""

    def __init__(self, seed: int, stream: random.Random) -> None:
        self._chance: Final = stream
        names = [f"folk {each}" for each in range(FOLK)]
        members = [f"member {each}" for each in range(4)]
        grants = dict.fromkeys([*members, *names], MONEY_URUV)
        self.exchange: Final = Exchange(seed, grants, keeps_log=True)
        add = self.exchange.directory.add
        self.everybody: Final = [add(name) for name in (*members, *names)]
        for name in names[:PROVIDERS]:
            self.exchange.open_shop(add(name), MONEY_URUV // 2)
        self.exchange.commit()

    # --- turns ----------------------------------------------------------------------------------

    def talk(self, most: int) -> None:
        """Let so many take their turn, or fewer."""
        for _ in range(self._chance.randint(0, most)):
            contracts = [row for _, row in self.exchange.state.contracts.rows.items()]
            kind = self._chance.random()
            if kind < 0.03:
                self._legislate()
            elif contracts and kind < 0.6:
                self._perform(self._chance.choice(contracts))
            else:
                account = self._chance.choice(self.everybody)
                for _ in range(self._chance.randint(1, 3)):
                    self.exchange.say(account, self._make_command())

    def mumble(self) -> None:
        """Say something that no market can make sense of."""
        chance = self._chance
        body = chance.randbytes(chance.randrange(GARBAGE_BYTES_MAX))
        if chance.random() < 0.5:
            whole = encode([[self._make_command()]])
            place = chance.randrange(len(whole))
            body = whole[:place] + chance.randbytes(1) + whole[place + chance.randrange(2) :]
        self.exchange.put(
            chance.choice(self.everybody),
            body,
            kind=chance.choice((Kind.MARKET, Kind.RECEIPT, Kind.NOTE, Kind.PROFILE, 99)),
            lane=chance.choice((LANE_SPEECH, LANE_SPEECH, LANE_BLOCKS)),
        )

    def pass_time(self, *, is_long: bool) -> None:
        """The next commit, some time later."""
        self.exchange.commit(self._chance.choice(SILENCE_MS if is_long else STEPS_MS))

    def change_committee(self) -> None:
        """Other members, or the same with other weights, from the next commit on."""
        seated = self._chance.sample(self.everybody, self._chance.randint(3, 5))
        self.exchange.weights = {each.id: self._chance.randint(1, 3) for each in seated}
        self.exchange.state.set_committee(self.exchange.weights)

    # --- commands -------------------------------------------------------------------------------

    def _make_command(self) -> Command:
        kind = self._chance.random()
        if kind < 0.6:
            return self._make_order()
        return self._make_change() if kind < 0.8 else self._make_other()

    def _make_order(self) -> Command:
        chance = self._chance
        side, until = chance.choice((Side.BID, Side.OFFER)), chance.choice(list(TimeInForce))
        tiers = STANDARD_TIERS.pack((chance.randrange(2), chance.randrange(4), 0, 0, 0, 0))
        price: int | None = chance.choice(PRICES)
        expires_ms = budget = epochs = 0
        if until in (TimeInForce.GTD, TimeInForce.POST_ONLY):
            expires_ms = self.exchange.time_ms + chance.choice(LASTING_MS)
        if until is TimeInForce.IOC and chance.random() < 0.4:
            price, budget = None, chance.randrange(500, 20_000)
        elif side is Side.OFFER and chance.random() < 0.3:
            epochs = chance.randrange(4)
        lots, model = chance.randint(1, 20), self.exchange.model
        return PlaceOrder(model, side, price, lots, tiers, until, expires_ms, budget, epochs)

    def _make_change(self) -> Command:
        chance = self._chance
        order = self._pick([key for key, _ in self.exchange.state.desk.orders.items()])
        choices: list[Command] = [
            CancelOrder(order),
            CancelAll(),
            CancelAll(self.exchange.model),
            ReduceOrder(order, chance.randrange(6)),
            ReplaceOrder(order, chance.choice(PRICES), chance.randint(1, 30)),
        ]
        return chance.choice(choices)

    def _make_other(self) -> Command:
        chance, model = self._chance, self.exchange.model
        somebody = chance.choice(self.everybody).id
        makers: list[Callable[[], Command]] = [
            lambda: Transfer(somebody, chance.randint(1, MONEY_URUV)),
            lambda: Transfer(somebody, 1, "token is sk-0123456789abcdef0123"),
            lambda: Stake(chance.randint(1, MONEY_URUV // 4)),
            lambda: Unstake(chance.randint(1, MONEY_URUV // 4)),
            *[self._make_attest] * 4,
            lambda: Revoke(model),
            lambda: MintMotion(somebody, 5, 0),
            lambda: PoolMotion(somebody, 1, chance.randrange(2)),
            self._make_listing,
            lambda: Accept(NOTHING),
        ]
        return chance.choice(makers)()

    def _make_attest(self) -> Attest:
        chance = self._chance
        return Attest(
            self.exchange.model,
            chance.choice(("own_weights", "own_weights", "own_account")),
            NOTHING,
            "terms",
            NOTHING,
            chance.choice((20, 1_000_000)),
            opted_in=chance.random() < 0.9,
            shares_credentials=chance.random() < 0.1,
        )

    def _pick(self, rows: Sequence[bytes]) -> bytes:
        return self._chance.choice([*rows, NOTHING])

    # --- contracts ------------------------------------------------------------------------------

    def _perform(self, contract: Contract) -> None:
        """A side of a contract, the committee, or those who probe, take their turn."""
        chance, say = self._chance, self.exchange.say
        find = self.exchange.directory.find
        buyer, provider = find(contract.buyer), find(contract.provider)
        if contract.phase == "locked":
            answers: list[Command] = [*[Accept(contract.id)] * 5, Decline(contract.id)]
            say(provider, chance.choice(answers))
            return
        what = chance.random()
        if what < 0.1 and self.exchange.state.windows.rows:
            self._probe()
        elif contract.phase == "disputed" and what < 0.8:
            self._judge(contract)
        elif what < 0.55:
            say(chance.choice((buyer, provider)), self._make_receipt(contract, buyer, provider))
        else:
            choices: list[Command] = [
                Close(contract.id),
                Finalise(contract.id),
                Finalise(contract.id),
                Dispute(contract.id, "too slow", NOTHING),
                Settle(contract.id),
                self._make_proof(contract, chance.choice((buyer, provider))),
            ]
            say(chance.choice((buyer, provider)), chance.choice(choices))

    def _judge(self, contract: Contract) -> None:
        share, fraud = self._chance.choice((0, 5_000, 10_000)), self._chance.random() < 0.3
        motion = VerdictMotion(contract.id, share, 20, 7, "replay", NOTHING, fraud=fraud)
        for member in self._list_members():
            self.exchange.say(member, motion)

    def _legislate(self) -> None:
        """The committee is of one mind."""
        chance, somebody = self._chance, self._chance.choice(self.everybody).id
        motion: Command = chance.choice(
            (
                MintMotion(somebody, chance.randint(1, URUV_PER_RUV), chance.randrange(1 << 20)),
                PoolMotion(somebody, 1, chance.randrange(1 << 20)),
                self._make_listing(),
            )
        )
        for member in self._list_members():
            self.exchange.say(member, motion)

    def _make_listing(self) -> ListMotion:
        return ListMotion(
            LISTING.model_variant,
            LISTING.backend_class,
            LISTING.in_weight_bp,
            self._chance.choice((*("open",) * 6, "contribution_only", "forbidden")),
            self._chance.randrange(1 << 20),
        )

    def _probe(self) -> None:
        """All who were drawn tell the same of a provider, or almost all."""
        windows = [row for _, row in self.exchange.state.windows.rows.items()]
        window = self._chance.choice(windows)
        outcomes = (self._chance.random() < 0.5,) * PROBES_MAX
        for prober in window.probers:
            if self._chance.random() < 0.9:
                report = ReportProbes(window.provider, window.number, outcomes)
                self.exchange.say(self.exchange.directory.find(prober), report)

    def _list_members(self) -> list[Account]:
        return [self.exchange.directory.find(each) for each in self.exchange.weights]

    def _make_receipt(self, contract: Contract, buyer: Account, provider: Account) -> PostReceipt:
        receipt = self._draw_receipt(contract, self._chance.randint(1, 4))
        signers = [buyer, provider] if self._chance.random() < 0.9 else [provider, buyer]
        signatures = [sign_receipt(SUITE, each.secrets, receipt) for each in signers]
        return PostReceipt(SignedReceipt(encode(receipt), *signatures))

    def _make_proof(self, contract: Contract, signer: Account) -> ProveEquivocation:
        """Two receipts of one number; now and then they are the same one."""
        seq = self._chance.randint(1, 3)
        first, second = (self._draw_receipt(contract, seq) for _ in range(2))
        return ProveEquivocation(
            *(
                HalfSignedReceipt(encode(each), sign_receipt(SUITE, signer.secrets, each))
                for each in (first, second)
            )
        )

    def _draw_receipt(self, contract: Contract, seq: int) -> Receipt:
        tokens = min(seq, contract.lots) * LOT_TOKENS - self._chance.choice((0, 0, 1))
        network = NOTHING if self._chance.random() < 0.05 else self.exchange.network
        is_final = self._chance.random() < 0.3
        return Receipt(network, contract.id, seq, 0, tokens, tokens, 9, NOTHING, final=is_final)
