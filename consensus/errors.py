"""What can go wrong in consensus.

MeshError
  ConsensusError
    InvalidProtocol        thresholds that are not safe, or not live
    InvalidCommittee       a list of validators that no epoch can have
    BrokenFaultBound       more validators lie than the profile allows: stop, do not pick
  InvalidMessage
    InvalidBlock(rule)     a lane-1 vertex that breaks a rule of its epoch: inert for everybody
"""

from __future__ import annotations

from dag.errors import InvalidMessage, MeshError, Offence


class ConsensusError(MeshError):
    """Base of the failures of the kernel itself, as opposed to those of a peer."""

    code = "consensus_error"


class InvalidProtocol(ConsensusError):
    """Thresholds under which two nodes could disagree, or nothing would ever be decided."""

    code = "invalid_protocol"


class InvalidCommittee(ConsensusError):
    """A list of validators that no epoch can have."""

    code = "invalid_committee"


class BrokenFaultBound(ConsensusError):
    """Two blocks of one slot were both committed: more stake lies than the profile tolerates."""

    code = "broken_fault_bound"

    def __init__(self, round_: int, first: bytes, second: bytes) -> None:
        super().__init__(
            f"round {round_} commits both {first.hex()[:12]} and {second.hex()[:12]}",
            hint="more validators equivocate than the committee tolerates; stop and show both",
        )
        self.round = round_
        self.first = first
        self.second = second


class InvalidBlock(InvalidMessage):
    """A lane-1 vertex that breaks a rule of its epoch; `rule` is the rule's short name."""

    code = "invalid_block"
    offence = Offence.BAD_VERTEX

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(f"{rule}: {message}")
        self.rule = rule
