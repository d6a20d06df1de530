"""Every failure has a type, a code and one clear line."""

from __future__ import annotations

from consensus.errors import BrokenFaultBound, ConsensusError, InvalidBlock
from dag.errors import InvalidMessage, MeshError, Offence


def test_invalid_block_is_the_peers_offence_and_names_its_rule():
    error = InvalidBlock("round", "0 is genesis")
    assert isinstance(error, InvalidMessage)
    assert (error.rule, error.offence) == ("round", Offence.BAD_VERTEX)
    assert str(error) == "round: 0 is genesis"


def test_broken_fault_bound_names_both_blocks_and_the_next_step():
    error = BrokenFaultBound(7, b"\x01" * 32, b"\x02" * 32)
    assert isinstance(error, ConsensusError)
    assert isinstance(error, MeshError)
    assert (error.round, error.first[0], error.second[0]) == (7, 1, 2)
    assert "round 7" in str(error)
    assert "stop" in str(error)
