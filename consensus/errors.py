"""What can go wrong in consensus.

MeshError
  ConsensusError
    InvalidProtocol        thresholds that are not safe, or not live
    InvalidCommittee       a list of validators that no epoch can have
    InvalidDecision        a proposal or a ballot that would have no effect
    BrokenFaultBound       more validators lie than the profile allows: stop, do not pick
  InvalidMessage
    InvalidBlock(rule)     a lane-1 vertex that breaks a rule of its epoch: inert for everybody
    InvalidCheckpoint      a snapshot's header, part or certificate that does not prove itself
"""

from __future__ import annotations

from typing import NamedTuple

from dag.errors import InvalidMessage, MeshError, Offence
from dag.types import COUNTER_MAX


class ConsensusError(MeshError):
    """Base of the failures of the kernel itself, as opposed to those of a peer."""

    code = "consensus_error"


class InvalidProtocol(ConsensusError):
    """Thresholds under which two nodes could disagree, or nothing would ever be decided."""

    code = "invalid_protocol"


class InvalidCommittee(ConsensusError):
    """A list of validators that no epoch can have."""

    code = "invalid_committee"


class InvalidDecision(ConsensusError):
    """A proposal or a ballot that would have no effect."""

    code = "invalid_decision"


class BrokenFaultBound(ConsensusError):
    """One slot was decided two ways: more stake lies than the profile tolerates."""

    code = "broken_fault_bound"

    def __init__(self, round_: int, committed: tuple[bytes, ...]) -> None:
        names = " and ".join(block_id.hex()[:12] for block_id in committed)
        what = f"commits both {names}" if len(committed) > 1 else f"skips and commits {names}"
        super().__init__(
            f"round {round_} {what}",
            hint="more validators equivocate than the committee tolerates: stop, show their twins",
        )
        self.round = round_
        self.committed = committed


class Release(NamedTuple):
    """When a block that breaks a rule of ancestors is to be judged again.

    What lies below the floor counts as present and is not looked at, so a rule that is broken
    through it is broken until then, at every node.
    """

    round: int = COUNTER_MAX
    """The floor has reached this round."""
    lamport: int = COUNTER_MAX
    """The floor of blocks has reached this lamport."""
    speech_lamport: int = COUNTER_MAX
    """That of speech has."""
    vertex_id: bytes = b""
    """This vertex counts as a valid block, or as present."""


class InvalidBlock(InvalidMessage):
    """A lane-1 vertex that breaks a rule of its epoch; `rule` is the rule's short name."""

    code = "invalid_block"
    offence = Offence.BAD_VERTEX

    def __init__(self, rule: str, message: str, *, release: Release | None = None) -> None:
        super().__init__(f"{rule}: {message}")
        self.rule = rule
        self.release = release
        """None where no floor changes it."""


class InvalidCheckpoint(InvalidMessage):
    """A snapshot that nothing proves: its header, one of its parts, or the votes for it."""

    code = "invalid_checkpoint"
    offence = Offence.BAD_PROOF
