"""Every failure has a type, a code and one clear line."""

from __future__ import annotations

from consensus.errors import BrokenFaultBound, ConsensusError, InvalidBlock, InvalidCheckpoint
from dag.errors import InvalidMessage, MeshError, Offence


def test_invalid_block_is_the_peers_offence_and_names_its_rule():
    error = InvalidBlock("round", "0 is genesis")
    assert isinstance(error, InvalidMessage)
    assert (error.rule, error.offence) == ("round", Offence.BAD_VERTEX)
    assert str(error) == "round: 0 is genesis"


def test_broken_fault_bound_names_what_was_decided_and_the_next_step():
    error = BrokenFaultBound(7, (b"\x01" * 32, b"\x02" * 32))
    assert isinstance(error, ConsensusError)
    assert isinstance(error, MeshError)
    assert (error.round, [id_[0] for id_ in error.committed]) == (7, [1, 2])
    assert str(error).startswith("round 7 commits both 0101")
    assert "stop" in str(error)
    assert "skips and commits 0303" in str(BrokenFaultBound(7, (b"\x03" * 32,)))


def test_invalid_checkpoint_is_a_proof_that_fails():
    error = InvalidCheckpoint("two votes of one validator")
    assert isinstance(error, InvalidMessage)
    assert (error.code, error.offence) == ("invalid_checkpoint", Offence.BAD_PROOF)
