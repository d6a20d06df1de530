"""Codes of refused commands, as sentences. Every node records the codes; the words are this one's."""

from __future__ import annotations

from typing import Final

from market.errors import HINTS, Code
from market.orders import Code as OrderCode
from meshnode.errors import MarketRefused

_SAID: Final[dict[str, tuple[str, str]]] = {
    Code.MALFORMED: ("the vertex holds no batch of commands that can be read", ""),
    Code.OUT_OF_RANGE: (
        "a number or a text is outside its bounds",
        "amounts are positive, an order is worth 1,000 uruv at least",
    ),
    Code.RATE_LIMITED: ("this account has said too much in the last commits", ""),
    Code.CREDENTIAL: ("a text looks like a key, a token or a password", ""),
    Code.INSUFFICIENT_FUNDS: ("there is too little free ruv in the account", ""),
    Code.INSUFFICIENT_STAKE: ("the account has too little staked", ""),
    Code.SUPPLY_EXHAUSTED: ("no more money can be made: all that can ever be is there", ""),
    Code.SAME_ACCOUNT: ("sender and receiver are the same account", "name another account"),
    Code.TOO_MANY: (
        "the account has as many of these as it may have",
        "cancel orders or revoke attestations first",
    ),
    Code.UNKNOWN_MODEL: ("the model is not listed", ""),
    Code.MODEL_FORBIDDEN: ("the model's terms, as they are listed, forbid this", ""),
    Code.NOT_ATTESTED: ("the account has not attested its backend for this model", ""),
    Code.NOT_OPTED_IN: (
        "nobody's backend is opened but by its owner's own choice",
        "opt in explicitly",
    ),
    Code.SHARES_CREDENTIALS: (
        "credentials are never shared",
        "attest without sharing: tasks are routed, never keys",
    ),
    Code.WRONG_BACKEND: (
        "the model's terms ask for another kind of backend",
        "only accounts of one's own contribute to this model",
    ),
    Code.DAILY_CAP: (
        "the daily cap of the attestation is used up",
        "wait for the next day, or attest a higher cap",
    ),
    Code.UNKNOWN_CONTRACT: ("no such contract is live", ""),
    Code.FOREIGN_CONTRACT: ("this is for another side of the contract to say", ""),
    Code.WRONG_PHASE: ("the contract is not in a phase in which this can be said", ""),
    Code.NOT_DUE: ("the time of the contract is not up", "wait for it"),
    Code.STALE_RECEIPT: ("a later receipt is held already", ""),
    Code.BAD_RECEIPT: ("the receipt contradicts its contract or the one before", ""),
    Code.WRONG_NETWORK: ("the receipt belongs to another network", ""),
    Code.BAD_SIGNATURE: ("a signature is not by the side that it stands for", ""),
    Code.NO_EQUIVOCATION: ("the two receipts do not contradict each other", ""),
    Code.NOT_IN_COMMITTEE: (
        "only validators can say this",
        "`meshnode validators list` shows who they are",
    ),
    Code.ALREADY_DONE: ("this has been said, or has had its effect", ""),
    Code.UNKNOWN_WINDOW: ("no such window waits for reports", ""),
    Code.NOT_A_PROBER: ("the account was not drawn to probe in this window", ""),
    Code.INVITATION_EXPIRED: ("the invitation had expired when the profile was put in order", ""),
    Code.INVITATION_USED_UP: ("the invitation has paid as often as it has uses", ""),
    OrderCode.DUPLICATE_ID: ("an order of this id is open", ""),
    OrderCode.BAD_LOTS: ("this number of lots cannot be", "see how many the order has left"),
    OrderCode.BAD_PRICE: ("this price cannot be", "prices are 1 to 2^40 uruv a lot"),
    OrderCode.OFF_TICK: (
        "the price is between two steps",
        "steps are 1 uruv below 1,000, 10 below 10,000 and 100 above",
    ),
    OrderCode.BAD_TIERS: ("there is no such combination of attributes", ""),
    OrderCode.BAD_TERMS: ("these terms of an order do not go together", ""),
    OrderCode.BAD_BUDGET: (
        "a market order needs a budget, and only a market order has one",
        "give a limit, or a budget of 1,000 uruv at least",
    ),
    OrderCode.BAD_EXPIRY: ("the order would have expired, or would live too long", "24 h at most"),
    OrderCode.BOOK_FULL: ("the book holds as many orders as it can", "try again later"),
    OrderCode.WOULD_TAKE: ("the order would have traded at once, which it must not", ""),
    OrderCode.CANNOT_FILL: ("the order cannot be filled as a whole now", ""),
    OrderCode.UNKNOWN_ORDER: ("no such order is open", "it may have traded or expired"),
    OrderCode.FOREIGN_ORDER: ("the order is another account's", ""),
}


def describe_code(code: str) -> tuple[str, str]:
    """What a code says and what to do next; the hint is empty where nothing fits every case."""
    said, hint = _SAID.get(code, ("another version of this program knows why", ""))
    known = code in tuple(Code)
    return said, hint or (HINTS.get(Code(code), "") if known else "")


def make_refusal(code: str) -> MarketRefused:
    """The error of a refused command."""
    said, hint = describe_code(code)
    return MarketRefused(f"{code}: {said}", reason=code, hint=hint)
