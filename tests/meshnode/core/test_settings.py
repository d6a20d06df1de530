"""How long is waited for what."""

from __future__ import annotations

from dag.types import LANE_BLOCKS, LANE_SPEECH
from meshnode.core.settings import Timing


def test_what_a_block_stands_on_is_waited_for_less_long():
    timing = Timing(pull_after_ms=7, block_pull_after_ms=3)
    assert timing.get_patience_ms(LANE_SPEECH) == 7
    assert timing.get_patience_ms(LANE_BLOCKS) == 3
