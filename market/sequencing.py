"""In which order the commands of one commit have effect, whoever proposed it.

First all that takes away or pays, then all that trades; so a cancel is never too late for an order
of the same commit that would have met its target. Inside a class commands go by a digest of the
commit and their id, which nobody can choose, so their order in a block means nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import Final, get_args

import msgspec

from dag.canonical import compute_digests
from dag.errors import InvalidMessage
from dag.order import Commit
from dag.types import LANE_SPEECH, Kind
from dag.vertex import SignedVertex
from market.commands import (
    BATCH_DECODER,
    COMMAND_DOMAIN,
    COMMANDS_MAX,
    PLACES,
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
)

SEQUENCE_DOMAIN: Final = b"meshnode/market-sequence/1"
KINDS: Final = (Kind.MARKET, Kind.RECEIPT)

STANDING: Final = 0
"""Money, stake, attestations and what the committee lists."""
WITHDRAWALS: Final = 1
PERFORMANCE: Final = 2
"""What becomes of contracts."""
ORDERS: Final = 3

TARGETED: Final = (CancelOrder, ReduceOrder, ReplaceOrder)
"""What names an order, and so may come before it."""

_CLASSES: Final[dict[type, int]] = {
    **dict.fromkeys(get_args(Command), PERFORMANCE),
    **dict.fromkeys((Transfer, Stake, Unstake, Attest, Revoke), STANDING),
    **dict.fromkeys((MintMotion, PoolMotion, ListMotion), STANDING),
    **dict.fromkeys((CancelOrder, CancelAll, ReduceOrder), WITHDRAWALS),
    **dict.fromkeys((PlaceOrder, ReplaceOrder), ORDERS),
}


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
    accounts: list[bytes] = []
    commands: list[Command] = []
    places: list[bytes] = []
    unreadable: list[Unreadable] = []
    for signed in vertices:
        vertex = signed.vertex
        if vertex.lane != LANE_SPEECH or vertex.kind not in KINDS:
            continue
        try:
            batch = BATCH_DECODER.decode(vertex.body).commands
        except InvalidMessage:
            batch = ()
        if not 1 <= len(batch) <= COMMANDS_MAX:
            unreadable.append(Unreadable(signed.id, vertex.author))
            continue
        accounts += repeat(vertex.author, len(batch))
        commands += batch
        places += [signed.id + place for place in PLACES[: len(batch)]]
    names = compute_digests(COMMAND_DOMAIN, places)
    return list(map(Issued, names, accounts, commands)), sorted(unreadable, key=_get_vertex)


def arrange(commit: Commit, issued: Sequence[Issued]) -> list[Issued]:
    """The commands of a commit in the order in which they have effect.

    What changes an order that only now comes has its turn after all others.
    """
    kinds = [type(each.command) for each in issued]
    digest = commit.digest
    places = compute_digests(SEQUENCE_DOMAIN, [digest + each.id for each in issued])
    classes = map(_CLASSES.__getitem__, kinds)
    ranked = sorted(zip(classes, places, range(len(issued)), strict=True))
    arranged = [issued[number] for _, _, number in ranked]
    if PlaceOrder in kinds and any(kind in kinds for kind in TARGETED):
        return _delay(arranged)
    return arranged


def _delay(arranged: Sequence[Issued]) -> list[Issued]:
    """Put what names an order of the same commit behind all others."""
    coming = frozenset(each.id for each in arranged if type(each.command) is PlaceOrder)
    prompt: list[Issued] = []
    early: list[Issued] = []
    for each in arranged:
        command = each.command
        is_early = type(command) in TARGETED and _get_target(command) in coming
        (early if is_early else prompt).append(each)
    return prompt + early


def _get_target(command: Command) -> bytes:
    assert isinstance(command, TARGETED)
    return command.order


def _get_vertex(row: Unreadable) -> bytes:
    return row.vertex
