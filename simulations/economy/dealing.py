"""Two accounts that trade with each other alone, as friends do, or one person with two names."""

from __future__ import annotations

from market.amounts import BASIS_POINTS, FEE_BP, URUV_PER_RUV, divide_up
from market.commands import Dispute, Transfer, VerdictMotion
from market.contracts import Contract
from market.sla import COLLATERAL_BP
from simulations.economy.accounts import Account
from simulations.economy.exchange import QUORUM, Exchange
from simulations.economy.serving import serve, serve_all
from simulations.errors import CheckFailed

LOTS = 100
"""Of each deal; the price says how much it is worth."""
TICK_URUV = 100
SPARE_URUV = URUV_PER_RUV
"""For bonds of orders."""


def find_price(worth_ruv: int) -> int:
    """A price at which the lots of a deal are worth so much, rounded down to the grid."""
    return max(TICK_URUV, worth_ruv * URUV_PER_RUV // LOTS // TICK_URUV * TICK_URUV)


def find_stake(worth_ruv: int) -> int:
    """The stake in micro-ruv that an offer of this worth needs."""
    return divide_up(worth_ruv * URUV_PER_RUV * COLLATERAL_BP[0], BASIS_POINTS) + TICK_URUV


def find_fee(worth_ruv: int) -> int:
    """The fee in micro-ruv on a deal of this worth."""
    return find_price(worth_ruv) * LOTS * FEE_BP // BASIS_POINTS


def meet(exchange: Exchange, buyer: Account, provider: Account, worth_ruv: int) -> Contract:
    """Bring two accounts into one contract. Raises `CheckFailed` if the market does not let them."""
    price, before = find_price(worth_ruv), len(exchange.trades)
    exchange.offer(provider, price, LOTS)
    exchange.commit()
    exchange.bid(buyer, price, LOTS)
    exchange.commit()
    if len(exchange.trades) != before + 1 or exchange.trades[-1].provider != provider.id:
        raise CheckFailed(
            "deal", f"{buyer.name} and {provider.name} met nobody: {exchange.refusals}"
        )
    contract = exchange.state.contracts.rows.get(exchange.trades[-1].contract)
    assert contract is not None
    return contract


def deal(exchange: Exchange, buyer: Account, provider: Account, worth_ruv: int) -> None:
    """One contract from its order to its payment."""
    meet(exchange, buyer, provider, worth_ruv)
    serve_all(exchange)


def give_back(exchange: Exchange, giver: Account, receiver: Account) -> None:
    """Let an account hand all its free money over, as within one pocket."""
    free = exchange.state.ledger.get(giver.id).free - SPARE_URUV
    if free > 0:
        exchange.say(giver, Transfer(receiver.id, free))
        exchange.commit()


def fail(exchange: Exchange, buyer: Account, provider: Account, worth_ruv: int) -> None:
    """One contract that the provider takes and does not deliver; the committee finds so."""
    contract = meet(exchange, buyer, provider, worth_ruv)
    serve(exchange)  # the provider accepts
    exchange.commit()
    condemn(exchange, contract, buyer, is_fraud=False)


def condemn(exchange: Exchange, contract: Contract, buyer: Account, *, is_fraud: bool) -> None:
    """The buyer disputes, and the committee gives it all its money back."""
    exchange.say(buyer, Dispute(contract.id, "not what was asked for", bytes(32)))
    exchange.commit()
    verdict = VerdictMotion(
        contract=contract.id,
        provider_bp=0,
        compared=20,
        matched=0,
        method="replay",
        model_digest=bytes(32),
        fraud=is_fraud,
    )
    for member in exchange.members[:QUORUM]:
        exchange.say(member, verdict)
    exchange.commit()
