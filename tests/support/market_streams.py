"""Random lives of a market: commands that mostly make sense, several in each commit."""

from __future__ import annotations

import random

from dag.vertex import SignedVertex
from market.commands import (
    Accept,
    CancelAll,
    CancelOrder,
    Close,
    Command,
    Decline,
    Dispute,
    Finalise,
    MintMotion,
    PoolMotion,
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
from tests.support.market_scene import NETWORK, RUV, MarketScene, get_account, make_tiers

STEPS_MS = (10, 10, 10, 100, 100, 100, 1_000, 1_000, 6_000, 40_000, 700_000, 4_000_000)


class Life:
    """A market that lives by chance; the same seed gives the same commits."""

    def __init__(self, seed: int, *, commits: int = 40) -> None:
        self.random = random.Random(seed)
        self.scene = MarketScene(money=RUV)
        self.scene.list_model()
        for provider in (5, 6):
            self.scene.make_provider(provider, stake=RUV // 2)
        for _ in range(commits):
            self.scene.apply(
                [self.make_vertex() for _ in range(self.random.randint(0, 4))],
                advance_ms=self.random.choice(STEPS_MS),
            )

    def make_vertex(self) -> SignedVertex:
        """What one account says next; every other time it is a side of a contract."""
        chance, account = self.random, self.random.randrange(8)
        contracts = [row for _, row in self.scene.state.contracts.rows.items()]
        if contracts and chance.random() < 0.6:
            contract = chance.choice(contracts)
            account = self._number(chance.choice((contract.buyer, contract.provider)))
            return self.scene.make_batch(account, self._make_performance(contract))
        commands = [self._make_command() for _ in range(chance.randint(1, 3))]
        return self.scene.make_batch(account, *commands)

    def _number(self, account: bytes) -> int:
        return next(each for each in range(8) if get_account(each) == account)

    def _make_command(self) -> Command:
        kind = self.random.random()
        if kind < 0.6:
            return self._make_order()
        return self._make_change() if kind < 0.8 else self._make_other()

    def _make_order(self) -> Command:
        chance = self.random
        side = chance.choice((Side.BID, Side.OFFER))
        lifetime = chance.choice(list(TimeInForce))
        changes: dict = {
            "tiers": make_tiers(chance.randrange(2), chance.randrange(4)),
            "time_in_force": lifetime,
        }
        if lifetime in (TimeInForce.GTD, TimeInForce.POST_ONLY):
            changes["expires_ms"] = self.scene.time_ms + chance.choice((500, 50_000, 5_000_000))
        price: int | None = chance.choice((500, 990, 1_000, 1_010, 2_000))
        if lifetime is TimeInForce.IOC and chance.random() < 0.4:
            price, changes["budget"] = None, chance.randrange(500, 20_000)
        elif side is Side.OFFER and chance.random() < 0.3:
            changes["epochs"] = chance.randrange(4)
        return self.scene.make_order(side, price, chance.randint(1, 20), **changes)

    def _pick(self, rows: list[bytes]) -> bytes:
        return self.random.choice([*rows, bytes(32)])

    def _make_change(self) -> Command:
        chance = self.random
        order = self._pick([key for key, _ in self.scene.state.desk.orders.items()])
        choices: list[Command] = [
            CancelOrder(order),
            CancelAll(),
            ReduceOrder(order, chance.randrange(6)),
            ReplaceOrder(order, chance.choice((500, 1_000, 2_000)), chance.randint(1, 30)),
        ]
        return chance.choice(choices)

    def _make_performance(self, contract: Contract) -> Command:
        chance, name = self.random, self._pick([contract.id] * 9)
        if contract.phase == "locked":
            answers: list[Command] = [*[Accept(name)] * 5, Decline(name)]
            return chance.choice(answers)
        choices: list[Command] = [
            *[self._make_receipt(contract)] * 4,
            Close(name),
            Finalise(name),
            Dispute(name, "too slow", bytes(32)),
            Settle(name),
            VerdictMotion(name, 5_000, 0, 0, "replay", bytes(32), fraud=chance.random() < 0.3),
        ]
        windows = [row for _, row in self.scene.state.windows.rows.items()]
        if windows:
            window = chance.choice(windows)
            outcomes = (chance.random() < 0.5,) * 20
            choices += [ReportProbes(window.provider, window.number, outcomes)] * 3
        return chance.choice(choices)

    def _make_receipt(self, contract: Contract) -> Command:
        signers = [self._number(contract.buyer), self._number(contract.provider)]
        seq = self.random.randint(1, 4)
        tokens = min(seq * 1_000, contract.lots * 1_000)
        return self.scene.post(self.scene.make_receipt(contract, seq, tokens), signers)

    def _make_other(self) -> Command:
        chance = self.random
        choices: list[Command] = [
            Transfer(get_account(chance.randrange(8)), chance.randint(1, RUV)),
            Stake(chance.randint(1, RUV // 4)),
            Unstake(chance.randint(1, RUV // 4)),
            self.scene.make_attest(),
            Revoke(self.scene.model),
            MintMotion(get_account(7), 5, 0),
            PoolMotion(get_account(7), 1, 0),
        ]
        return chance.choice(choices)


def print_root(seed: int) -> None:
    """What another process compares itself with."""
    life = Life(seed)
    print(NETWORK.hex()[:4], life.scene.state.root().hex())
