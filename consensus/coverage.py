"""What a block newly covers: lane-0 vertices that no block of the last rounds in its history covers.

How much that may be is bounded, so every node has to count the same. Blocks below the floor are
forgotten here and held there, so no more rounds are looked at than are kept below every block that
can still be put out; a block that is too old for that is not put out, and covers nothing. Genesis
covers what earlier epochs put out, as far as it lies above the lamport that the epoch began with:
while the floor is genesis, nobody forgets that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from consensus import floor
from consensus.block import GENESIS_ROUND
from dag.types import Horizon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from consensus.block_store import BlockStore
    from dag.index import Entry
    from dag.types import Ref

COVERED_COUNT_MAX: Final = 1_000
"""Lane-0 vertices that one block may order beyond those its parents order."""
COVERED_BYTES_MAX: Final = 1_048_576


class PayloadIndex(Protocol):
    """The lane-0 vertices held; `dag.index.Index` is one."""

    def get(self, vertex_id: bytes) -> Entry | None:
        """The entry of an id."""
        ...

    def collect_ancestors(
        self,
        ids: Iterable[bytes],
        *,
        exclude: Iterable[bytes] = (),
        above: Horizon,
        through: Callable[[Ref], bool],
    ) -> tuple[Ref, ...]:
        """The vertices `ids` and their ancestors, without `exclude` and theirs: see `dag.index`."""
        ...


def get_first_round(round_: int) -> int:
    """The lowest round whose blocks may cover something for a block of a round."""
    return round_ - floor.RETAINED_ROUNDS + 1


def get_last_round(round_: int) -> int:
    """The lowest floor at which nothing is asked any more of what a block of a round covers."""
    return max(GENESIS_ROUND + 1, get_first_round(round_) - 1)


def collect_covered(
    payload: Iterable[Ref],
    round_: int,
    parents: Iterable[Ref],
    store: BlockStore,
    index: PayloadIndex,
    *,
    ordered: Iterable[bytes] = (),
) -> tuple[Ref, ...]:
    """What a block of a round on these block parents newly covers by naming `payload`, ascending.

    `ordered` names the last leaders before the epoch. Nothing where the floor is so high that not
    all blocks are held that may cover it.
    """
    if store.floor >= get_last_round(round_):
        return ()
    first = get_first_round(round_)
    reaches_genesis = first <= GENESIS_ROUND

    def covers(ref: Ref) -> bool:
        block = store.find(ref)
        return reaches_genesis if block is None else block.round >= first

    return index.collect_ancestors(
        (ref.id for ref in payload),
        exclude=(*(ref.id for ref in parents), *(ordered if reaches_genesis else ())),
        above=Horizon(store.speech_lamport, store.epoch_lamport),
        through=covers,
    )
