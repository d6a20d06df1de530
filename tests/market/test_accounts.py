"""The ledger: all or nothing, never below nothing, and nothing is ever lost."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from market.accounts import Ledger
from market.amounts import SUPPLY_MAX
from market.errors import Code, Refused

A, B = bytes(32), bytes([1]) * 32
names = st.sampled_from([A, B])
amounts = st.integers(1, 50)


class LedgerMachine(RuleBasedStateMachine):
    """Every move against a dictionary of places."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.model: dict[object, int] = {"minted": 0, "burned": 0, "pool": 0, "held": 0}
        for name in (A, B):
            for place in ("free", "reserved", "staked", "unbonding"):
                self.model[name, place] = 0

    def move(self, source: object, target: object, amount: int) -> bool:
        if self.model[source] < amount:
            return False
        self.model[source] -= amount
        self.model[target] += amount
        return True

    def attempt(self, call, *arguments: object, **named: int) -> bool:
        before = {name: msgspec.structs.replace(self.ledger.get(name)) for name in (A, B)}
        try:
            call(*arguments, **named)
        except Refused:
            assert before == {name: self.ledger.get(name) for name in (A, B)}
            return False
        return True

    @rule(name=names, amount=amounts)
    def mint(self, name: bytes, amount: int):
        self.ledger.mint(name, amount)
        self.model["minted"] += amount
        self.model[name, "free"] += amount

    @rule(amount=amounts)
    def transfer(self, amount: int):
        done = self.attempt(self.ledger.transfer, A, B, amount)
        assert done == self.move((A, "free"), (B, "free"), amount)

    @rule(name=names, amount=amounts)
    def stake(self, name: bytes, amount: int):
        done = self.attempt(self.ledger.stake, name, amount)
        assert done == self.move((name, "free"), (name, "staked"), amount)

    @rule(name=names, amount=amounts)
    def unstake(self, name: bytes, amount: int):
        done = self.attempt(self.ledger.unstake, name, amount)
        assert done == self.move((name, "staked"), (name, "unbonding"), amount)

    @rule(name=names, amount=amounts)
    def unbond(self, name: bytes, amount: int):
        if name in self.ledger.accounts:
            left = self.ledger.finish_unbonding(name, amount)
            assert left == min(amount, self.model[name, "unbonding"])
            assert self.move((name, "unbonding"), (name, "free"), left)

    @rule(name=names, free=st.integers(0, 50), staked=st.integers(0, 50))
    def reserve(self, name: bytes, free: int, staked: int):
        done = self.attempt(self.ledger.reserve, name, free=free, staked=staked)
        can = self.model[name, "free"] >= free and self.model[name, "staked"] >= staked
        assert done == can
        if can:
            self.move((name, "free"), (name, "reserved"), free)
            self.move((name, "staked"), (name, "reserved"), staked)

    @rule(
        name=names,
        free=st.integers(0, 50),
        staked=st.integers(0, 50),
        burned=st.integers(0, 50),
    )
    def release(self, name: bytes, free: int, staked: int, burned: int):
        if name in self.ledger.accounts and (
            self.model[name, "reserved"] >= free + staked + burned
        ):
            self.ledger.release(name, free=free, staked=staked, burned=burned)
            self.move((name, "reserved"), (name, "free"), free)
            self.move((name, "reserved"), (name, "staked"), staked)
            self.move((name, "reserved"), "burned", burned)

    @rule(escrow=amounts, collateral=amounts, bonds=st.tuples(st.integers(0, 5), st.integers(0, 5)))
    def begin_contract(self, escrow: int, collateral: int, bonds: tuple[int, int]):
        needs = {A: escrow + bonds[0], B: collateral + bonds[1]}
        if any(self.model[name, "reserved"] < need for name, need in needs.items()):
            return
        self.ledger.begin_contract((A, escrow, bonds[0]), (B, collateral, bonds[1]))
        for name, amount, bond in ((A, escrow, bonds[0]), (B, collateral, bonds[1])):
            self.move((name, "reserved"), "held", amount)
            self.move((name, "reserved"), (name, "free"), bond)

    @rule(back=amounts, paid=st.integers(0, 50), collateral=amounts)
    def end_contract(self, back: int, paid: int, collateral: int):
        if self.model["held"] < back + paid + collateral or len(self.ledger.accounts) < 2:
            return
        self.ledger.end_contract(A, B, back, paid, collateral)
        self.move("held", (A, "free"), back)
        self.move("held", (B, "free"), paid)
        self.move("held", (B, "staked"), collateral)

    @rule(name=names, amount=amounts)
    def post_bond(self, name: bytes, amount: int):
        done = self.attempt(self.ledger.post_bond, name, amount)
        assert done == self.move((name, "free"), "held", amount)

    @rule(name=names, amount=amounts, place=st.sampled_from(["free", "burned", "pool"]))
    def let_go(self, name: bytes, amount: int, place: str):
        if self.model["held"] < amount:
            return
        if place == "free":
            self.ledger.pay(name, amount)
        elif place == "burned":
            self.ledger.burn_held(amount)
        else:
            self.ledger.pool_held(amount)
        self.move("held", place if place in self.model else (name, place), amount)

    @rule(name=names, amount=amounts)
    def spend_pool(self, name: bytes, amount: int):
        done = self.attempt(self.ledger.spend_pool, name, amount)
        assert done == self.move("pool", (name, "free"), amount)

    @rule(name=names, amount=amounts)
    def penalise(self, name: bytes, amount: int):
        taken = self.ledger.take_penalty(name, amount)
        staked = min(amount, self.model[name, "staked"])
        self.move((name, "staked"), "held", staked)
        unbonding = min(amount - staked, self.model[name, "unbonding"])
        self.move((name, "unbonding"), "held", unbonding)
        assert taken == staked + unbonding

    @invariant()
    def places_agree_and_nothing_is_lost(self):
        for name in (A, B):
            row = self.ledger.get(name)
            for place in ("free", "reserved", "staked", "unbonding"):
                assert getattr(row, place) == self.model[name, place] >= 0
            assert row.bonded == row.staked + row.unbonding
        totals = self.ledger.totals
        for place in ("minted", "burned", "pool", "held"):
            assert getattr(totals, place) == self.model[place]
        assert self.ledger.count_all() == totals.minted
        assert self.ledger.count_changed() == totals.minted


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=60, stateful_step_count=30)


def test_counting_what_changed_finds_money_that_came_from_nowhere():
    ledger = Ledger()
    ledger.mint(A, 5)
    ledger.mint(B, 7)
    assert ledger.count_changed() == 12
    ledger.accounts.edit(A).staked += 3
    assert ledger.count_changed() == ledger.count_all() == 15
    assert ledger.count_changed() == 15
    ledger.accounts.drop(B)
    assert ledger.count_changed() == ledger.count_all() == 8


def test_supply_has_an_end():
    ledger = Ledger()
    ledger.mint(A, SUPPLY_MAX)
    with pytest.raises(Refused) as caught:
        ledger.mint(A, 1)
    assert caught.value.reason is Code.SUPPLY_EXHAUSTED
