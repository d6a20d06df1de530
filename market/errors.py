"""What can go wrong in the market.

MeshError
  MarketError
    Refused(code)          a command that has no effect; the code is recorded in its place

`Code` is the list of reasons outside the book; those of the book are `market.orders.Code`. Codes are part of the protocol: every node records the same
one for the same command, so they are never renamed and never given another meaning.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from dag.errors import MeshError
from market.orders import Code as OrderCode


class Code(StrEnum):
    """Why a command was refused."""

    MALFORMED = "malformed"
    OUT_OF_RANGE = "out_of_range"
    RATE_LIMITED = "rate_limited"
    CREDENTIAL = "credential"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    INSUFFICIENT_STAKE = "insufficient_stake"
    SUPPLY_EXHAUSTED = "supply_exhausted"
    SAME_ACCOUNT = "same_account"
    TOO_MANY = "too_many"
    UNKNOWN_MODEL = "unknown_model"
    MODEL_FORBIDDEN = "model_forbidden"
    NOT_ATTESTED = "not_attested"
    NOT_OPTED_IN = "not_opted_in"
    SHARES_CREDENTIALS = "shares_credentials"
    WRONG_BACKEND = "wrong_backend"
    DAILY_CAP = "daily_cap"
    UNKNOWN_CONTRACT = "unknown_contract"
    FOREIGN_CONTRACT = "foreign_contract"
    WRONG_PHASE = "wrong_phase"
    NOT_DUE = "not_due"
    STALE_RECEIPT = "stale_receipt"
    BAD_RECEIPT = "bad_receipt"
    WRONG_NETWORK = "wrong_network"
    BAD_SIGNATURE = "bad_signature"
    NO_EQUIVOCATION = "no_equivocation"
    NOT_IN_COMMITTEE = "not_in_committee"
    ALREADY_DONE = "already_done"
    UNKNOWN_WINDOW = "unknown_window"
    NOT_A_PROBER = "not_a_prober"
    INVITATION_EXPIRED = "invitation_expired"
    INVITATION_USED_UP = "invitation_used_up"


HINTS: Final = {
    Code.MALFORMED: "send the canonical form of a batch of commands",
    Code.RATE_LIMITED: "wait for the next commits",
    Code.CREDENTIAL: "never put keys, tokens or passwords into a command",
    Code.INSUFFICIENT_FUNDS: "receive ruv, or cancel orders that hold some",
    Code.INSUFFICIENT_STAKE: "stake more first",
    Code.NOT_ATTESTED: "attest your backend for this model first",
    Code.UNKNOWN_MODEL: "the committee lists models by motion",
    Code.WRONG_NETWORK: "sign it for this network",
}
"""The next step, where there is one that fits every case."""


class MarketError(MeshError):
    """Base of what the market refuses."""

    code = "market_error"


class Refused(MarketError):
    """A command that has no effect; `reason` is what every node records."""

    code = "market_refused"

    def __init__(self, reason: Code | OrderCode, message: str) -> None:
        hint = HINTS.get(reason, "") if isinstance(reason, Code) else ""
        super().__init__(f"{reason}: {message}", hint=hint)
        self.reason = reason
