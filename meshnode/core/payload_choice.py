"""Which lane-0 vertices a block names: the heads of what is oldest among what is not ordered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consensus.block import PAYLOAD_PARENTS_MAX
from consensus.coverage import COVERED_BYTES_MAX, COVERED_COUNT_MAX
from dag.types import LANE_SPEECH

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dag.index import Index
    from dag.types import Ref


def choose_payload(
    index: Index, waiting: Sequence[Ref], newly_covered: Iterable[Ref]
) -> tuple[Ref, ...]:
    """Heads over `waiting` for a block that would newly cover so much, within every bound of a block.

    What does not fit stays for the next block. Everything from the oldest on is taken, so what is
    named covers nothing that was left out. What waits although it is under the parents was named by
    blocks that are too old to be put out: it is named again, and covers nothing new.
    """
    covered = dict.fromkeys(newly_covered)
    heads: dict[bytes, Ref] = {}
    count = size_bytes = 0
    for ref in sorted({**covered, **dict.fromkeys(waiting)}):
        entry = index.get(ref.id)
        if entry is None:
            continue  # pruned since it was admitted
        if ref in covered:
            count += 1
            size_bytes += entry.size_bytes
        if count > COVERED_COUNT_MAX or size_bytes > COVERED_BYTES_MAX:
            break
        assert entry.lane == LANE_SPEECH, "lane 0 stands on lane 0 only"
        for parent in entry.parents:
            heads.pop(parent.id, None)
        heads[ref.id] = ref
    return tuple(sorted(heads.values())[:PAYLOAD_PARENTS_MAX])
