"""Decisions of the mesh: proposals and ballots, folded over commits.

Every node folds the same bodies in the same order and comes to the same state. Ballots are weighed
at the end of a commit, by the committee and the members of that moment. An option wins once it has
strictly more than the threshold; at the first commit at or after its deadline a proposal without a
winner expires. A passed change of the committee waits until the replica takes it.

Nothing here raises on what a peer says: what has no effect is counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from consensus.ballots import (
    Ballot,
    Electorate,
    OpenProposal,
    ProposalRecord,
    Status,
    get_change_threshold,
)
from consensus.committee import Committee, compute_next_committee, make_first_committee
from consensus.errors import InvalidCommittee, InvalidDecision
from consensus.expulsions import check_expulsion, make_expulsion_proposal
from consensus.proposal_rules import YES, check_ballot, check_proposal
from consensus.roll import Roll
from consensus.validator_invitations import InvitationUses, make_seat_proposal, read_request
from dag.bodies import (
    DECISION_DECODER,
    BallotBody,
    CommitteeChange,
    ExpulsionBody,
    ProposalBody,
    SeatRequest,
    StakeChange,
)
from dag.canonical import CanonicalDecoder, compute_digest, encode
from dag.errors import InvalidMessage
from dag.genesis import Genesis, Suite, compute_network_id
from dag.order import Commit
from dag.types import LANE_SPEECH, Kind
from dag.vertex import SignedVertex

ROOT_DOMAIN: Final = b"meshnode/decisions/1"
SNAPSHOT_BYTES_MAX: Final = 256 * 1024 * 1024
OPEN_MAX: Final = 1_000
"""Open proposals of which those without a seat in the committee can be the cause."""
OPEN_PER_AUTHOR_MAX: Final = 20
CLOSED_MAX: Final = 1_000
DEADLINE_MAX_MS: Final = 90 * 24 * 3_600_000
"""How long a proposal may stay open: it holds one of the places."""


class PassedChange(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A change of the committee that was voted, and not handed over yet."""

    proposal: bytes
    change: CommitteeChange


class _Snapshot(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    authors: tuple[tuple[bytes, int], ...]
    open: tuple[ProposalRecord, ...]
    closed: tuple[ProposalRecord, ...]
    passed: tuple[PassedChange, ...]
    uses: InvitationUses
    ignored: int
    unseated: tuple[bytes, ...]
    unseated_in: int


_decoder: Final = CanonicalDecoder(_Snapshot, what="decisions", bytes_max=SNAPSHOT_BYTES_MAX)


class Decisions:
    """All proposals of a network, open and closed; a state machine over commits."""

    def __init__(self, genesis: Genesis, roll: Roll) -> None:
        """Begin with the committee that the genesis names.

        `roll` tells who is a member; whoever folds commits lets it fold each of them first.
        """
        self._seqs: dict[bytes, int] = {}
        """By author, the seq of its last vertex in lane 0."""
        self._roll = roll
        self._network = compute_network_id(genesis)
        self._suite: Suite = genesis.suite
        self._electorate = Electorate(make_first_committee(genesis), roll.members)
        self._unseated: dict[bytes, None] = {}
        """Validators of the epoch that are no members any more, and whose seats are to go."""
        self._unseated_in = self._electorate.committee.epoch
        self._open: dict[bytes, OpenProposal] = {}
        self._closed: dict[bytes, ProposalRecord] = {}
        self._passed: deque[PassedChange] = deque()
        self._uses = InvitationUses()
        self._ignored = 0
        self._changed: dict[bytes, None] = {}
        """Open proposals whose weights may have changed. What is counted twice comes out alike."""
        self._deadline_ms: int | None = None

    @property
    def ignored_count(self) -> int:
        """Bodies that had no effect."""
        return self._ignored

    def set_committee(self, committee: Committee) -> None:
        """An epoch begins: stake weighs anew at the next commit."""
        self._electorate.committee = committee
        for proposal in self._open.values():
            self._changed[proposal.id] = None

    # --- what has been put ----------------------------------------------------------------------

    def list_proposals(self) -> tuple[ProposalRecord, ...]:
        """Every proposal: the closed ones as they closed, then the open ones as they opened."""
        counted = (proposal.count(self._electorate) for proposal in self._open.values())
        return (*self._closed.values(), *counted)

    def get(self, proposal_id: bytes) -> ProposalRecord | None:
        """One proposal, counted as of the last commit; None for one that is not remembered."""
        proposal = self._open.get(proposal_id)
        if proposal is None:
            return self._closed.get(proposal_id)
        return proposal.count(self._electorate)

    def weigh(self, body: ProposalBody, author: bytes) -> int:
        """What a ballot of this author would weigh now, 0 for who has no vote."""
        return self._electorate.weigh(body, author)

    def count_unanswered(self, author: bytes) -> int:
        """How many open proposals wait for the vote that this author has."""
        return sum(
            self.weigh(proposal.body, author) > 0 and not proposal.has_answer(author)
            for proposal in self._open.values()
        )

    @property
    def change_threshold(self) -> tuple[int, int]:
        """What a change of the committee needs more than, as a part of the stake."""
        return get_change_threshold(self._electorate.committee)

    def describe_expulsion(self, body: ExpulsionBody) -> ProposalBody:
        """What this committee would be asked by it."""
        return make_expulsion_proposal(self._electorate.committee, body)

    def check_change(self, change: CommitteeChange) -> None:
        """Raises `InvalidCommittee` for a change that this committee cannot make."""
        compute_next_committee(self._electorate.committee, change)
        for item in change.stakes:
            if item.stake and item.author not in self._roll.members:
                raise InvalidCommittee(f"{item.author.hex()[:16]} is no member")

    @property
    def has_change(self) -> bool:
        """Whether a change of the committee waits to be handed over."""
        return bool(self._passed)

    def take_change(self) -> CommitteeChange | None:
        """Hand over the first change that has passed; one that no longer fits is dropped."""
        while self._passed:
            passed = self._passed.popleft()
            try:
                self.check_change(passed.change)
            except InvalidCommittee as error:
                record = self._closed.get(passed.proposal)
                if record is not None:
                    self._closed[record.id] = msgspec.structs.replace(
                        record, status="invalid", reason=error.message
                    )
                continue  # a seat that is to go without a proposal is gone already
            return passed.change
        return None

    # --- the state machine ----------------------------------------------------------------------

    def apply(self, commit: Commit, vertices: Sequence[SignedVertex]) -> None:
        """Fold one commit: its lane-0 vertices, in order. Total: it never raises."""
        for signed in vertices:
            if signed.vertex.lane == LANE_SPEECH:
                self._take(commit, signed)
        due = self._deadline_ms is not None and commit.time_ms >= self._deadline_ms
        if self._changed or due:
            self._count(commit)
        self._unseat()

    def root(self) -> bytes:
        """A digest of the whole state."""
        return compute_digest(ROOT_DOMAIN, self.snapshot())

    def snapshot(self) -> bytes:
        """The whole state but for the committee, which the epoch gives."""
        return encode(
            _Snapshot(
                tuple(self._seqs.items()),
                tuple(proposal.freeze() for proposal in self._open.values()),
                tuple(self._closed.values()),
                tuple(self._passed),
                self._uses,
                self._ignored,
                tuple(self._unseated),
                self._unseated_in,
            )
        )

    def restore(self, snapshot: bytes) -> None:
        """Take up a snapshot; `set_committee` says which epoch it is of.

        Raises `MalformedMessage` or `MessageTooLarge`, and then nothing has changed.
        """
        state = _decoder.decode(snapshot)
        self._seqs = dict(state.authors)
        self._open = {record.id: OpenProposal(record) for record in state.open}
        self._closed = {record.id: record for record in state.closed}
        self._passed = deque(state.passed)
        self._uses = state.uses
        self._ignored = state.ignored
        self._unseated, self._unseated_in = dict.fromkeys(state.unseated), state.unseated_in
        self._changed = dict.fromkeys(self._open)
        self._find_deadline()

    def next_deadline(self) -> int | None:
        """The commit time at which the first open proposal closes; None for nothing open."""
        return self._deadline_ms

    # --- vertices -------------------------------------------------------------------------------

    def _take(self, commit: Commit, signed: SignedVertex) -> None:
        vertex = signed.vertex
        if vertex.seq <= self._seqs.get(vertex.author, -1) or self._roll.is_gone(vertex.author):
            # The other side of a fork: of a slot the first in order counts. Or who is out by now.
            self._ignored += 1
            return
        self._seqs[vertex.author] = vertex.seq
        if vertex.kind == Kind.DECISION:
            self._decide(commit, signed)

    def _decide(self, commit: Commit, signed: SignedVertex) -> None:
        try:
            body = DECISION_DECODER.decode(signed.vertex.body)
            if isinstance(body, BallotBody):
                check_ballot(body)
                self._cast(signed, body)
            elif isinstance(body, SeatRequest):
                self._propose_seat(commit, signed, body)
            elif isinstance(body, ExpulsionBody):
                self._propose_expulsion(commit, signed, body)
            else:
                check_proposal(body)
                self._put(
                    commit, ProposalRecord(signed.id, signed.vertex.author, body, commit.index)
                )
        except (InvalidMessage, InvalidDecision):
            self._ignored += 1

    def _cast(self, signed: SignedVertex, body: BallotBody) -> None:
        author, proposal = signed.vertex.author, self._open.get(body.proposal)
        if proposal is None:
            raise InvalidDecision("no such proposal is open")
        if body.option >= len(proposal.body.options):
            raise InvalidDecision("the proposal has no such option")
        if not self._electorate.weigh(proposal.body, author):
            raise InvalidDecision("the author has no vote on it")
        proposal.cast(Ballot(author, body.option, body.reason, signed.id))
        self._changed[proposal.id] = None

    def _propose_seat(self, commit: Commit, signed: SignedVertex, request: SeatRequest) -> None:
        """Propose who was invited as a validator; the inviter's signature is its yes."""
        author, committee = signed.vertex.author, self._electorate.committee
        invitation = read_request(request, self._network, self._suite, author)
        if committee.get_index(author) is not None:
            raise InvalidDecision("the author has a seat")
        if committee.get_index(invitation.inviter) is None:
            raise InvalidDecision("the inviter has no seat")
        self._roll.admit(commit, author, invitation)  # its profile may never be put out
        body = make_seat_proposal(committee, author, commit.time_ms)
        if any(proposal.body.action == body.action for proposal in self._open.values()):
            raise InvalidDecision("this is being decided")
        self._uses.take(invitation, commit.time_ms)
        self._put(commit, ProposalRecord(signed.id, invitation.inviter, body, commit.index))
        proposal = self._open.get(signed.id)
        if proposal is not None:
            proposal.cast(Ballot(invitation.inviter, YES, "signed the invitation", signed.id))

    def _propose_expulsion(self, commit: Commit, signed: SignedVertex, body: ExpulsionBody) -> None:
        check_expulsion(body)
        if any(proposal.record.expels == body.member for proposal in self._open.values()):
            raise InvalidDecision("this is being decided")
        record = ProposalRecord(
            signed.id,
            signed.vertex.author,
            self.describe_expulsion(body),
            commit.index,
            expels=body.member,
            reason_to_expel=body.reason,
        )
        self._put(commit, record)

    # --- opening and closing --------------------------------------------------------------------

    def _put(self, commit: Commit, record: ProposalRecord) -> None:
        refusal = self._find_refusal(commit, record)
        if refusal:
            self._close(commit, record, "rejected", refusal)
            return
        if record.is_change:
            try:
                self._check_threshold(record.body)
                self._check_effect(record)
            except (InvalidCommittee, InvalidDecision) as error:
                self._close(commit, record, "invalid", error.message)
                return
        self._open[record.id] = OpenProposal(record)
        self._changed[record.id] = None
        self._find_deadline()

    def _check_threshold(self, body: ProposalBody) -> None:
        """Say early what would not be enough at the end. Raises `InvalidCommittee`."""
        num, den = self.change_threshold
        if body.threshold_num * den < num * body.threshold_den:
            raise InvalidCommittee(f"a change of this committee needs more than {num}/{den}")

    def _check_effect(self, record: ProposalRecord) -> None:
        """Raises `InvalidCommittee` or `InvalidDecision` for what could not be done now."""
        if record.expels:
            self._roll.check_expulsion(record.expels)
        if record.body.action is not None:
            self.check_change(record.body.action)

    def _find_refusal(self, commit: Commit, record: ProposalRecord) -> str:
        deadline_ms = record.body.deadline_ms
        if deadline_ms <= commit.time_ms:
            return "its deadline had passed"
        if deadline_ms > commit.time_ms + DEADLINE_MAX_MS:
            return f"its deadline is more than {DEADLINE_MAX_MS // 86_400_000} days ahead"
        proposers = [proposal.proposer for proposal in self._open.values()]
        if proposers.count(record.proposer) >= OPEN_PER_AUTHOR_MAX:
            return f"its proposer has {OPEN_PER_AUTHOR_MAX} open proposals"
        seats = self._electorate.committee
        # Validators keep their places, or guests could keep a committee from ever changing.
        guests = sum(seats.get_index(proposer) is None for proposer in proposers)
        if guests >= OPEN_MAX and seats.get_index(record.proposer) is None:
            return f"{OPEN_MAX} proposals are open"
        return ""

    def _count(self, commit: Commit) -> None:
        """Weigh what has changed, and close what is decided or due, in order of opening."""
        for proposal in tuple(self._open.values()):
            due = proposal.body.deadline_ms <= commit.time_ms
            if not due and proposal.id not in self._changed:
                continue
            record = proposal.count(self._electorate)
            if record.winner >= 0:
                self._settle(commit, record)
            elif due:
                self._close(commit, record, "expired")
        self._changed.clear()
        self._find_deadline()

    def _settle(self, commit: Commit, record: ProposalRecord) -> None:
        if record.is_change and record.winner != YES:
            self._close(commit, record, "failed")
            return
        try:
            self._check_effect(record)
        except (InvalidCommittee, InvalidDecision) as error:
            self._close(commit, record, "invalid", error.message)
            return
        if record.expels:
            self._roll.expel(commit, record.expels, record.id, record.reason_to_expel)
        if record.body.action is not None:
            self._passed.append(PassedChange(record.id, record.body.action))
        self._close(commit, record, "passed")

    def _unseat(self) -> None:
        """Whoever is no member any more loses its seat, without anybody having to ask for that."""
        committee = self._electorate.committee
        if self._unseated_in != committee.epoch:
            self._unseated, self._unseated_in = {}, committee.epoch
        leaving = sorted(
            seat.author
            for seat in committee.validators
            if self._roll.is_gone(seat.author) and seat.author not in self._unseated
        )
        if leaving:
            self._unseated.update(dict.fromkeys(leaving))
            change = CommitteeChange(tuple(StakeChange(author, 0) for author in leaving))
            self._passed.append(PassedChange(b"", change))

    def _close(
        self, commit: Commit, record: ProposalRecord, status: Status, reason: str = ""
    ) -> None:
        self._open.pop(record.id, None)
        self._changed.pop(record.id, None)
        if len(self._closed) >= CLOSED_MAX:
            del self._closed[_choose_forgotten(self._closed.values())]
        self._closed[record.id] = msgspec.structs.replace(
            record, status=status, reason=reason, closed_at=commit.index
        )

    def _find_deadline(self) -> None:
        deadlines = (proposal.body.deadline_ms for proposal in self._open.values())
        self._deadline_ms = min(deadlines, default=None)


def _choose_forgotten(closed: Iterable[ProposalRecord]) -> bytes:
    """The oldest that was never open, else the oldest: nobody pushes out results with refusals."""
    first = b""
    for record in closed:
        if not record.weights:
            return record.id
        first = first or record.id
    return first
