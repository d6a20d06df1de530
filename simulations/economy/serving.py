"""Carries contracts from the lock to the payment, as two honest sides do."""

from __future__ import annotations

from collections.abc import Collection

from dag.canonical import compute_digest, encode
from market.amounts import LOT_TOKENS
from market.commands import Accept, Finalise, PostReceipt
from market.contracts import Contract
from market.receipts import Receipt, SignedReceipt, sign_receipt
from simulations.economy.accounts import SUITE, Account
from simulations.economy.exchange import Exchange

FIRST_TOKEN_MS = 300
TRANSCRIPT_DOMAIN = b"simulated transcript"
STEPS_MAX = 4
"""Accept, receipt, final words, and one more to see that nothing is left."""


def serve(exchange: Exchange, leave: Collection[bytes] = ()) -> None:
    """Let the sides of every live contract say what is due; some contracts can be left alone."""
    for key, contract in exchange.state.contracts.rows.items():
        if key in leave:
            continue
        buyer, provider = find_sides(exchange, contract)
        match contract.phase:
            case "locked":
                exchange.say(provider, Accept(key))
            case "delivering":
                exchange.say(provider, post_receipt(exchange, contract))
            case "claimable":
                exchange.say(buyer, Finalise(key))
                exchange.say(provider, Finalise(key))
            case "disputed":
                pass


def serve_all(exchange: Exchange, leave: Collection[bytes] = ()) -> None:
    """Commit until every contract that is not left alone is paid."""
    for _ in range(STEPS_MAX):
        if all(key in leave for key, _ in exchange.state.contracts.rows.items()):
            return
        serve(exchange, leave)
        exchange.commit()


def find_sides(exchange: Exchange, contract: Contract) -> tuple[Account, Account]:
    """Buyer and provider of a contract."""
    find = exchange.directory.find
    return find(contract.buyer), find(contract.provider)


def post_receipt(exchange: Exchange, contract: Contract) -> PostReceipt:
    """All lots were delivered, and both sides have signed it."""
    receipt = make_receipt(exchange, contract)
    buyer, provider = (
        sign_receipt(SUITE, account.secrets, receipt) for account in find_sides(exchange, contract)
    )
    return PostReceipt(SignedReceipt(encode(receipt), buyer, provider))


def make_receipt(exchange: Exchange, contract: Contract) -> Receipt:
    """A final receipt for everything that a contract is about."""
    tokens = contract.lots * LOT_TOKENS
    return Receipt(
        network=exchange.network,
        contract=contract.id,
        seq=1,
        tokens_in=0,
        tokens_out=tokens,
        tokens_billed=tokens,
        first_token_ms=FIRST_TOKEN_MS,
        transcript_root=compute_digest(TRANSCRIPT_DOMAIN, contract.id),
        final=True,
    )
