"""The records of a market, all in one place: what a root is taken over and a snapshot holds."""

from __future__ import annotations

from typing import Final

import msgspec

from dag.canonical import CanonicalDecoder, compute_digest, encode
from market.accounts import Account, Totals
from market.allowances import Allowance
from market.attestation import Attestation, Model
from market.book import BookSnapshot
from market.contracts import Contract
from market.events import Audit
from market.motions import OpenMotion
from market.open_orders import OpenOrder
from market.reputation import Standing
from market.unbonding import Unbonding
from market.welcomes import Welcome
from market.windows import Window

STATE_VERSION: Final = 2
ROOT_DOMAIN: Final = b"meshnode/market-root/1"
SNAPSHOT_BYTES_MAX: Final = 256 * 1024 * 1024


class Snapshot(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A whole market after a commit."""

    version: int
    index: int
    time_ms: int
    totals: Totals
    beacon: bytes
    accounts: tuple[tuple[bytes, Account], ...]
    allowances: tuple[tuple[bytes, Allowance], ...]
    audits: tuple[tuple[bytes, Audit], ...]
    standings: tuple[tuple[bytes, Standing], ...]
    unbondings: tuple[tuple[bytes, Unbonding], ...]
    models: tuple[tuple[bytes, Model], ...]
    attestations: tuple[tuple[bytes, Attestation], ...]
    orders: tuple[tuple[bytes, OpenOrder], ...]
    contracts: tuple[tuple[bytes, Contract], ...]
    windows: tuple[tuple[bytes, Window], ...]
    motions: tuple[tuple[bytes, OpenMotion], ...]
    welcomes: tuple[tuple[bytes, Welcome], ...]
    deadlines: tuple[tuple[bytes, int], ...]
    books: tuple[tuple[bytes, BookSnapshot], ...]


def make_empty_snapshot() -> Snapshot:
    """A market in which nothing has happened."""
    return Snapshot(STATE_VERSION, 0, 0, Totals(), b"", *((),) * 14)


SNAPSHOT_DECODER: Final = CanonicalDecoder(
    Snapshot, what="market snapshot", bytes_max=SNAPSHOT_BYTES_MAX
)


def compute_root(head: object, digests: tuple[bytes, ...]) -> bytes:
    """A digest of the whole state, from what is small and the digests of what is large."""
    return compute_digest(ROOT_DOMAIN, encode((STATE_VERSION, head, digests)))
