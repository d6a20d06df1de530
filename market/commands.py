"""What an account says to the market: the bodies of vertices of the kinds MARKET and RECEIPT.

A body is a batch of commands. An account is a vertex author, so a command needs neither a signature
nor a nonce of its own: the vertex has them. Its id is a digest of the vertex and its place in it.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from dag.canonical import CanonicalDecoder, compute_digest
from dag.types import BODY_BYTES_MAX
from market.orders import Side, TimeInForce
from market.receipts import HalfSignedReceipt, SignedReceipt

COMMANDS_MAX: Final = 128
"""Commands of one vertex."""
TEXT_CHARACTERS_MAX: Final = 256
COMMAND_DOMAIN: Final = b"meshnode/market-command/1"
PLACES: Final = tuple(position.to_bytes(4, "big") for position in range(COMMANDS_MAX))

Policy = Literal["open", "contribution_only", "forbidden"]
"""What a model's terms allow: any backend; single tasks by who has an account; nothing."""
Backend = Literal["own_weights", "own_account"]


class _Command(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Base of commands; their tags are their codes on the wire."""


# --- money ----------------------------------------------------------------------------------------


class Transfer(_Command, frozen=True, tag=1):
    """Give free money to another account."""

    receiver: bytes
    amount: int
    memo: str = ""


class Stake(_Command, frozen=True, tag=2):
    """Turn free money into stake."""

    amount: int


class Unstake(_Command, frozen=True, tag=3):
    """Begin to turn stake into free money; it takes 14 days."""

    amount: int


# --- who may offer --------------------------------------------------------------------------------


class Attest(_Command, frozen=True, tag=10):
    """An account's word on the backend that it opens to others; needed before any offer."""

    model: bytes
    backend: Backend
    terms_digest: bytes
    """Of the licence or the terms of service that the account has read."""
    terms_version: str
    hardware_digest: bytes
    """Of a signed document that describes the hardware."""
    daily_cap_lots: int
    opted_in: bool
    shares_credentials: bool
    """Must be false: tasks are routed, credentials never."""


class Revoke(_Command, frozen=True, tag=11):
    """Take an attestation back; resting offers end in the same commit."""

    model: bytes


# --- orders ---------------------------------------------------------------------------------------


class PlaceOrder(_Command, frozen=True, tag=20):
    """Bid for capacity, or offer some."""

    model: bytes
    side: Side
    price: int | None
    """Micro-ruv per lot; None for a market order, which needs a budget."""
    lots: int
    tiers: int
    """What an offer gives, or a bid asks for; an offer's reputation is the one its account has."""
    time_in_force: TimeInForce = TimeInForce.GTC
    expires_ms: int = 0
    """The first commit time at which it is gone; 0 for as long as orders may live."""
    budget: int = 0
    """Most that a market order may trade; 0 for limit orders."""
    epochs: int = 0
    """Of an offer: in how many epochs it shows its lots anew; 0 for one that is spent once."""


class CancelOrder(_Command, frozen=True, tag=21):
    """Take back one order."""

    order: bytes


class CancelAll(_Command, frozen=True, tag=22):
    """Take back all orders that rest, for one model or for all."""

    model: bytes = b""


class ReduceOrder(_Command, frozen=True, tag=23):
    """Make an order smaller; it keeps its place."""

    order: bytes
    lots: int


class ReplaceOrder(_Command, frozen=True, tag=24):
    """Put another order in the place of one, at once; smaller at the same price is a reduction."""

    order: bytes
    price: int
    lots: int


# --- contracts ------------------------------------------------------------------------------------


class Accept(_Command, frozen=True, tag=30):
    """The provider takes this task."""

    contract: bytes


class Decline(_Command, frozen=True, tag=31):
    """The provider does not take this task, which is its right."""

    contract: bytes


class Close(_Command, frozen=True, tag=32):
    """The buyer wants no more."""

    contract: bytes


class Finalise(_Command, frozen=True, tag=33):
    """A side will not dispute; once both have said so there is nothing to wait for."""

    contract: bytes


class Dispute(_Command, frozen=True, tag=34):
    """A side asks the committee to judge, and puts up a bond."""

    contract: bytes
    reason: str
    evidence_digest: bytes


class Settle(_Command, frozen=True, tag=35):
    """Anybody may say that a contract's time is up."""

    contract: bytes


class PostReceipt(_Command, frozen=True, tag=36):
    """What both sides have signed about a contract."""

    receipt: SignedReceipt


class ProveEquivocation(_Command, frozen=True, tag=37):
    """Two receipts of one number that one side has signed."""

    first: HalfSignedReceipt
    second: HalfSignedReceipt


# --- the committee --------------------------------------------------------------------------------


class MintMotion(_Command, frozen=True, tag=40):
    """New money for an account."""

    account: bytes
    amount: int
    nonce: int
    """So that the same grant may be made twice."""


class PoolMotion(_Command, frozen=True, tag=41):
    """Money of the pool for an account."""

    account: bytes
    amount: int
    nonce: int


class ListMotion(_Command, frozen=True, tag=42):
    """An instrument, and what its model's terms allow from now on."""

    model_variant: str
    backend_class: str
    in_weight_bp: int
    policy: Policy
    nonce: int


class VerdictMotion(_Command, frozen=True, tag=43):
    """How a disputed contract ends."""

    contract: bytes
    provider_bp: int
    """The provider's part of what the receipts say; the rest is the buyer's."""
    compared: int
    matched: int
    method: str
    model_digest: bytes
    fraud: bool
    """Whether a substitution is proven: all that is bonded is lost."""


class ReportProbes(_Command, frozen=True, tag=44):
    """What a prober saw of a provider in a window; probes are numbered alike for all probers."""

    provider: bytes
    window: int
    outcomes: tuple[bool, ...]


Command = (
    Transfer
    | Stake
    | Unstake
    | Attest
    | Revoke
    | PlaceOrder
    | CancelOrder
    | CancelAll
    | ReduceOrder
    | ReplaceOrder
    | Accept
    | Decline
    | Close
    | Finalise
    | Dispute
    | Settle
    | PostReceipt
    | ProveEquivocation
    | MintMotion
    | PoolMotion
    | ListMotion
    | VerdictMotion
    | ReportProbes
)
Motion = MintMotion | PoolMotion | ListMotion | VerdictMotion


class Batch(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The body of a vertex of the kinds MARKET and RECEIPT."""

    commands: tuple[Command, ...]


BATCH_DECODER: Final = CanonicalDecoder(Batch, what="market batch", bytes_max=BODY_BYTES_MAX)


def compute_command_id(vertex_id: bytes, position: int) -> bytes:
    """Name a command by its vertex and its place in it."""
    return compute_digest(COMMAND_DOMAIN, vertex_id + position.to_bytes(4, "big"))
