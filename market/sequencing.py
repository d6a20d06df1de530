"""In which order the commands of one commit have effect, whoever proposed it.

First all that takes away or pays, then all that trades; so a cancel is never too late for an order
of the same commit that would have met its target. Inside a class commands go by a digest of the
commit and their id, which nobody can choose, so their order in a block means nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from operator import itemgetter
from typing import Final

import msgspec

from dag.canonical import compute_digests
from dag.errors import InvalidMessage
from dag.order import Commit
from dag.types import LANE_SPEECH, Kind
from dag.vertex import SignedVertex
from market.commands import (
    BATCH_DECODER,
    COMMANDS_MAX,
    Attest,
    CancelAll,
    CancelOrder,
    Command,
    ListMotion,
    MintMotion,
    PlaceOrder,
    PoolMotion,
    ReduceOrder,
    ReplaceOrder,
    Revoke,
    Stake,
    Transfer,
    Unstake,
    compute_command_ids,
)

SEQUENCE_DOMAIN: Final = b"meshnode/market-sequence/1"
KINDS: Final = (Kind.MARKET, Kind.RECEIPT)

STANDING: Final = 0
"""Money, stake, attestations and what the committee lists."""
WITHDRAWALS: Final = 1
PERFORMANCE: Final = 2
"""What becomes of contracts."""
ORDERS: Final = 3

_CLASSES: Final[dict[type, int]] = {
    Transfer: STANDING,
    Stake: STANDING,
    Unstake: STANDING,
    Attest: STANDING,
    Revoke: STANDING,
    MintMotion: STANDING,
    PoolMotion: STANDING,
    ListMotion: STANDING,
    CancelOrder: WITHDRAWALS,
    CancelAll: WITHDRAWALS,
    ReduceOrder: WITHDRAWALS,
    PlaceOrder: ORDERS,
    ReplaceOrder: ORDERS,
}


_get_place: Final = itemgetter(0, 1)


class Issued(msgspec.Struct, frozen=True, gc=False):
    """A command, who says it, and its id."""

    id: bytes
    account: bytes
    command: Command


class Unreadable(msgspec.Struct, frozen=True):
    """A body that holds no batch of commands."""

    vertex: bytes
    account: bytes


def read_commands(vertices: Sequence[SignedVertex]) -> tuple[list[Issued], list[Unreadable]]:
    """The commands of a commit's vertices, and the vertices that hold none."""
    issued: list[Issued] = []
    unreadable: list[Unreadable] = []
    for signed in vertices:
        vertex = signed.vertex
        if vertex.lane != LANE_SPEECH or vertex.kind not in KINDS:
            continue
        try:
            commands = BATCH_DECODER.decode(vertex.body).commands
        except InvalidMessage:
            commands = ()
        if not 1 <= len(commands) <= COMMANDS_MAX:
            unreadable.append(Unreadable(signed.id, vertex.author))
            continue
        author = vertex.author
        names = compute_command_ids(signed.id, len(commands))
        issued += [Issued(*row) for row in zip(names, repeat(author), commands, strict=False)]
    return issued, sorted(unreadable, key=_get_vertex)


def arrange(commit: Commit, issued: Sequence[Issued]) -> list[Issued]:
    """The commands of a commit in the order in which they have effect."""
    digest, get_class = commit.digest, _CLASSES.get
    places = compute_digests(SEQUENCE_DOMAIN, [digest + each.id for each in issued])
    classes = [get_class(type(each.command), PERFORMANCE) for each in issued]
    keyed = sorted(zip(classes, places, issued, strict=True), key=_get_place)
    return [each for _, _, each in keyed]


def _get_vertex(row: Unreadable) -> bytes:
    return row.vertex
